from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.databases import stage
from tests.pages.scheduler.presses import IVAN, page, page_at, press
from tests.records import a_run, server, user, wait_for
from transfer.causes.connections import TOO_SLOW, UNREACHABLE
from transfer.engine.kinds import KINDS
from transfer.errors import TooSlow, Unreachable
from transfer.models import (
    Heartbeat,
    MaintenanceRun,
    MaintenanceTask,
    TransferRun,
    TransferTask,
)
from transfer.models.run_base import State, Trigger
from transfer.pages.links import key_of
from transfer.parties import database_of
from transfer.runs import backlog
from transfer.runs.backlog import Backlog
from transfer.runs.execute import run_here

pytestmark = pytest.mark.django_db


class TestTheSettingThatHidesTransferTasks:
    def test_hides_them_in_a_new_installation_and_says_how_many(self, client, olga):
        eight = server()
        eight.tasks.get(kind="cards").switch(True, IVAN)
        html = page(client)
        assert f"{len(KINDS)} transfer tasks are hidden." in html
        assert "1 of them is enabled" in html
        assert key_of(eight.tasks.first()) not in html
        assert "Purge the history" in html

    def test_has_nothing_to_hide_before_the_first_server_and_says_what_to_do(self, client, olga):
        assert "Dock a bonus server" in page(client)
        assert reverse("server_add") not in page(client)
        client.force_login(user("administrator", "anna"))
        assert reverse("server_add") in page(client)

    def test_is_a_link_for_those_who_may_change_it(self, client):
        server()
        client.force_login(user("administrator"))
        assert f"{reverse('settings')}#other" in page(client)
        client.force_login(user("operator", "ivan"))
        html = page(client)
        assert f"{reverse('settings')}#other" not in html
        assert "an administrator can change" in html

    def test_is_overruled_by_a_button_for_this_user_alone_who_can_hide_them_again(
        self, client, olga
    ):
        task = server().tasks.first()
        assert "Display transfer tasks to me" in page(client)
        client.post(reverse("scheduler_show"), {"enabled": "1"})
        html = page(client)
        assert key_of(task) in html
        assert "displayed to you alone" in html
        client.post(reverse("scheduler_show"), {"enabled": "0"})
        assert key_of(task) not in page(client)
        client.post(reverse("scheduler_show"), {"enabled": "1"})
        client.force_login(user("operator", "ivan"))
        assert key_of(task) not in page(client)

    def test_leaves_no_switch_beside_those_of_the_tasks(self, client, olga, task):
        html = page(client)
        assert reverse("scheduler_show") not in html
        tasks = TransferTask.objects.count() + MaintenanceTask.objects.count()
        assert html.count('role="switch"') == tasks

    def test_does_not_hide_what_a_link_leads_to(self, client, olga):
        task = server().tasks.get(kind="cards")
        assert key_of(task) in page(client, kind="cards")


def test_a_viewer_sees_everything_and_no_button(client, task):
    client.force_login(user("viewer"))
    html = page(client)
    assert "Balance changes" in html
    for name in ("switch", "run", "pause", "undo"):
        assert reverse(f"task_{name}", args=[key_of(task)]) not in html
    assert reverse("scheduler_bulk") not in html


def test_the_schedule_stands_in_words_with_its_next_five_times_and_their_zone(client, olga, task):
    html = page(client)
    assert "every 5 minutes" in html
    row = next(r.record for r in client.get("/scheduler/").context["table"].paginated_rows)
    assert len(row.times) == 5
    assert "MSK" in html


@pytest.mark.parametrize(
    ("state", "kinds"),
    [
        ("enabled", {"cards", "pincodes"}),
        ("disabled", KINDS.keys() - {"cards", "pincodes"}),
        ("paused", {"cards"}),
        ("failing", {"pincodes"}),
        ("open", {"balances"}),
    ],
)
def test_tasks_are_found_by_their_state(client, olga, task, state, kinds):
    of = {one.kind: one for one in task.server.tasks.all()}
    of["cards"].switch(True, IVAN)
    of["cards"].pause(timezone.now() + timedelta(hours=1), IVAN)
    of["pincodes"].switch(True, IVAN)
    a_run(task.server, "balances", state=State.RUNNING)
    TransferTask.objects.filter(kind="pincodes").update(failures=2)
    table = client.get(reverse("scheduler"), {"state": state}).context["table"]
    assert {row.record.task.kind for row in table.paginated_rows} == kinds


@pytest.mark.parametrize("attempt", [State.QUEUED, State.RUNNING])
def test_a_task_that_fails_has_failed_also_while_its_next_attempt_is_under_way(
    client, olga, task, attempt
):
    task.switch(True, IVAN)
    a_run(task.server, state=State.FAILED)
    TransferTask.objects.filter(pk=task.pk).update(failures=1)
    a_run(task.server, state=attempt)
    rows = [row.record for row in client.get("/scheduler/").context["table"].paginated_rows]
    (shown,) = [row for row in rows if row.task.pk == task.pk]
    assert (shown.state, shown.look.tone) == ("failed", "bad")


def test_a_task_that_no_tick_has_planned_yet_shows_no_time(client, olga, task):
    TransferTask.objects.filter(pk=task.pk).update(enabled=True, next_run_at=None)
    assert '<span class="muted">not planned yet</span>' in page(client, kind="balances")


def test_a_server_that_does_not_answer_leaves_the_number_unknown(client, olga, task):
    error = Unreachable(UNREACHABLE, party=database_of(task.server.name), reason="timeout")
    wait_for(task, error=error)
    html = page(client)
    assert "unknown" in html
    assert "does not answer" in html


def test_what_a_run_has_just_counted_is_newer_than_what_was_asked(client, olga, task):
    wait_for(task)
    a_run(task.server, queued_at=timezone.now(), waiting=7)
    assert "7 rows" in page(client)
    assert "412 rows" not in page(client)


def test_what_waits_is_asked_before_the_page_is_shown(client, olga, shown, receiver, shop_all):
    task = receiver.tasks.get(kind="balances")
    run_here(task, Trigger.MANUAL)  # which leaves nothing waiting
    TransferRun.objects.update(finished_at=timezone.now() - timedelta(minutes=1))
    stage(shop_all, "balances", [("1", 10), ("2", 20)])
    response = client.get(reverse("scheduler"), {"kind": "balances"})
    (row,) = (one.record for one in response.context["table"].paginated_rows)
    assert row.backlog.rows == 2
    response = press(client, task, "switch", enabled="0")
    response = press(client, task, "switch", enabled="1")
    assert "2 rows wait; next run" in page_at(client, response.url)


def test_who_only_is_slow_is_asked_again_before_anything_is_said(client, olga, task, monkeypatch):
    slow = TooSlow(TOO_SLOW, party=database_of(task.server.name), reason="> 0.7 s")
    monkeypatch.setattr(
        backlog, "backlogs", lambda tasks, seconds: {one.pk: Backlog(error=slow) for one in tasks}
    )
    assert "being asked" in page(client)
    assert 'data-poll="0.2"' in page(client)
    assert "unknown" in page(client, ask="1")


def test_each_of_the_last_runs_is_a_mark_that_leads_to_it_and_a_count_in_words(client, olga, task):
    ends = [State.SUCCEEDED] * 20 + [State.REJECTS, State.SKIPPED, State.FAILED]
    runs = [a_run(task.server, state=state, applied=7) for state in ends]
    html = page(client, kind="balances")
    assert all(f'href="{run.get_absolute_url()}"' in html for run in runs[3:])
    assert f'href="{runs[2].get_absolute_url()}"' not in html  # the strip has twenty
    for count in ("Succeeded: 17", "Succeeded with rejects: 1", "Skipped: 1", "Failed: 1"):
        assert count in html
    assert "· Succeeded · 7 rows</title>" in html


def test_a_silent_scheduler_is_said_at_the_top(client, olga, task):
    assert "The scheduler has never run." in page(client)
    Heartbeat.beat("shop: cron", timezone.now() - timedelta(minutes=10))
    assert "The scheduler is silent" in page(client)
    Heartbeat.beat("shop: cron")
    assert "The scheduler is silent" not in page(client)


def test_the_page_looks_again_soon_while_something_runs(client, olga, task):
    for one in task.server.tasks.all():
        wait_for(one)
    assert 'data-poll="10"' in page(client)
    a_run(task.server, state=State.RUNNING)
    assert 'data-poll="2"' in page(client)


def test_a_maintenance_run_that_is_under_way_is_shown(client, olga, shown):
    task = MaintenanceTask.objects.get(kind="check_connections")
    run = MaintenanceRun.of(task, Trigger.SCHEDULE)
    run.state, run.started_at = State.RUNNING, timezone.now()
    run.save()
    assert run.get_absolute_url() in page(client)
