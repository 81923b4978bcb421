"""What is done with several chosen tasks."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.pages.scheduler.presses import IVAN, stored
from tests.records import wait_for
from transfer.engine.kinds import KINDS
from transfer.models import TransferRun, TransferTask
from transfer.pages.links import key_of
from transfer.text import formats

pytestmark = pytest.mark.django_db


class TestTheChosenOnes:
    def chosen(self, *tasks):
        return [f"{key_of(task)}:{task.version}" for task in tasks]

    def bulk(self, client, action, tasks, **data):
        return client.post(
            reverse("scheduler_bulk"), {"action": action, "task": self.chosen(*tasks), **data}
        )

    def test_are_asked_about_first_with_what_it_means(self, client, olga, task):
        wait_for(task)
        html = self.bulk(client, "on", [task]).content.decode()
        assert "its first run would be" in html
        assert "412 rows" in html
        assert not stored(task).enabled

    def test_are_switched_on_together_with_one_reason(self, client, olga, task):
        tasks = list(task.server.tasks.all())
        self.bulk(client, "on", tasks, confirmed="1", reason="opening day")
        assert {(one.enabled, one.change_reason) for one in TransferTask.objects.all()} == {
            (True, "opening day")
        }

    def test_are_paused_together(self, client, olga, task):
        self.bulk(client, "pause", [task], confirmed="1", until="hour")
        assert stored(task).is_paused()

    def test_are_run_at_once(self, client, olga, task):
        response = self.bulk(client, "run", list(task.server.tasks.all()))
        assert TransferRun.objects.queued().count() == len(KINDS)
        shown = client.get(response.url)
        assert len(shown.context["started"]) == len(KINDS)
        assert "They wait: there is no background worker" in shown.content.decode()

    def test_what_somebody_else_changed_meanwhile_is_asked_about_again(self, client, olga, task):
        other = task.server.tasks.select_related("server").get(kind="cards")
        data = [stored(task), stored(other)]
        other.pause(timezone.now() + timedelta(hours=1), IVAN, reason="inventory")
        response = self.bulk(client, "on", data, confirmed="1")
        assert response.status_code == 409
        assert "inventory" in response.content.decode()
        assert (stored(task).enabled, stored(other).enabled) == (True, False)

    def test_the_first_run_is_that_of_a_task_that_was_changed(self, client, olga, task):
        other = task.server.tasks.select_related("server").get(kind="cards")
        data = [stored(task), stored(other)]
        other.switch(True, IVAN)
        TransferTask.objects.filter(pk=other.pk).update(next_run_at=timezone.now())
        html = self.bulk(client, "on", data, confirmed="1").content.decode()
        assert f"The first run: {formats.moment(stored(task).upcoming_at)}." in html

    def test_none_is_said(self, client, olga, task):
        response = self.bulk(client, "off", [])
        assert "Choose at least one task" in client.get(response.url).content.decode()

    def test_nonsense_is_left_out(self, client, olga, task):
        response = client.post(
            reverse("scheduler_bulk"), {"action": "run", "task": ["user-1:1", "transfer-x:1", "x"]}
        )
        assert response.status_code == 302
        assert not TransferRun.objects.exists()
