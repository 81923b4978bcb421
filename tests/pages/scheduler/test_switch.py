"""One task: its switch, its pause, a run at once, and two people who press at the same time."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.pages.look import once_more
from tests.pages.scheduler.presses import IVAN, page, page_at, press, stored
from tests.records import a_run, wait_for
from transfer.models import AuditEntry, Heartbeat, TransferRun
from transfer.models.run_base import State
from transfer.pages.links import key_of
from transfer.pages.parts.pauses import next_morning

pytestmark = pytest.mark.django_db


class TestTheSwitch:
    def test_is_pressed_once_says_what_it_means_and_who_and_why_and_runs_nothing_at_once(
        self, client, olga, task
    ):
        response = press(client, task, "switch", enabled="1", reason="the holidays are over")
        switched = stored(task)
        assert switched.enabled
        assert switched.next_run_at > timezone.now()
        assert not TransferRun.objects.exists()
        html = client.get(response.url).content.decode()
        for part in ("Switched on.", "Next run", "olga", "the holidays are over"):
            assert part in html
        entry = AuditEntry.objects.about(task).first()
        assert (entry.who, entry.address, entry.new) == ("olga", "127.0.0.1", {"enabled": True})

    def test_off_says_that_rows_wait(self, client, olga, task):
        task.switch(True, IVAN)
        wait_for(task)
        response = press(client, task, "switch", enabled="0")
        html = client.get(response.url).content.decode()
        assert "Switched off." in html
        assert "wait until it is switched on again" in html

    def test_can_be_undone_from_what_is_shown_then(self, client, olga, task):
        response = press(client, task, "switch", enabled="1")
        assert (
            reverse("task_undo", args=[key_of(task)]) in client.get(response.url).content.decode()
        )
        press(client, stored(task), "undo", enabled="0")
        assert not stored(task).enabled
        assert AuditEntry.objects.about(task).first().action == "undo"

    def test_takes_its_reason_afterwards_too(self, client, olga, task):
        press(client, task, "switch", enabled="1")
        press(client, stored(task), "explain", reason="go")
        assert stored(task).change_reason == "go"
        assert AuditEntry.objects.about(task).first().reason == "go"

    def test_goes_back_to_where_it_was_pressed_with_the_filter(self, client, olga, task):
        response = press(client, task, "switch", enabled="1", next="/scheduler/?state=disabled")
        assert response.url.startswith("/scheduler/?state=disabled&")
        assert response.url.endswith(f"#{key_of(task)}")

    def test_never_leads_to_another_site(self, client, olga, task):
        response = press(client, task, "switch", enabled="1", next="https://example.com/")
        assert "example.com" not in response.url


class TestTwoAdminsAtOnce:
    def test_the_second_sees_what_the_first_did_and_may_do_it_all_the_same(
        self, client, olga, task
    ):
        seen_by_both = stored(task)
        task.pause(timezone.now() + timedelta(hours=1), IVAN, reason="inventory")
        asked = press(client, seen_by_both, "switch", enabled="1")
        html = asked.content.decode()
        assert asked.status_code == 409
        assert "ivan" in html
        assert "inventory" in html
        assert not stored(task).enabled
        client.post(asked.wsgi_request.path, once_more(asked))
        assert stored(task).enabled

    def test_what_the_other_did_already_is_told_and_not_asked(self, client, olga, task):
        seen_by_both = stored(task)
        task.switch(True, IVAN)
        response = press(client, seen_by_both, "switch", enabled="1")
        assert response.status_code == 302
        assert "It was done already" in client.get(response.url).content.decode()

    def test_an_undo_never_takes_back_what_somebody_else_did(self, client, olga, task):
        press(client, task, "switch", enabled="1")
        seen = stored(task)
        stored(task).pause(timezone.now() + timedelta(hours=1), IVAN)
        assert press(client, seen, "undo", enabled="0").status_code == 409
        assert stored(task).enabled


class TestRunNow:
    def test_a_second_press_opens_no_second_run(self, client, olga, task):
        press(client, task, "run")
        response = press(client, task, "run")
        run = TransferRun.objects.get()
        assert client.get(response.url).context["started"] == [run]

    def test_puts_a_run_into_the_queue_and_says_what_becomes_of_it_while_the_page_is_open(
        self, client, olga, task
    ):
        back = press(client, task, "run").url
        run = TransferRun.objects.get()
        assert (run.state, run.trigger, run.actor.username) == (State.QUEUED, "manual", "olga")
        assert client.get(back).context["started"] == [run]
        assert "It waits: there is no background worker" in page_at(client, back)
        Heartbeat.beat("shop: cron")
        assert "It starts within a minute, " in page_at(client, run.get_absolute_url())
        run.start()
        run.finish(State.REJECTS, applied=360, rejected=1)
        html = page_at(client, back)
        assert "It waits" not in html
        assert "Succeeded with rejects" in html
        assert "361 rows" in html

    def test_a_running_one_ends_after_its_chunk(self, client, olga, task):
        run = a_run(task.server, state=State.RUNNING)
        response = press(client, task, "cancel")
        run.refresh_from_db()
        assert (run.state, run.cancelled_by) == (State.RUNNING, "olga")
        assert "ends after this step" in client.get(response.url).content.decode()

    def test_there_may_be_nothing_to_cancel_any_more(self, client, olga, task):
        response = press(client, task, "cancel")
        assert "no run is open any more" in client.get(response.url).content.decode()


class TestThePause:
    def test_of_an_hour_has_a_reason_and_an_end(self, client, olga, task):
        task.switch(True, IVAN)
        press(client, task, "pause", until="hour", reason="inventory")
        held = stored(task)
        left = held.paused_until - timezone.now()
        assert timedelta(minutes=59) < left <= timedelta(hours=1)
        assert (held.paused_by, held.pause_reason) == ("olga", "inventory")
        html = page(client)
        assert "paused until" in html
        assert "inventory" in html

    def test_until_the_morning_ends_at_eight_of_the_users_clock(self, client, olga, task):
        client.cookies["timezone"] = "Asia/Vladivostok"
        press(client, task, "pause", until="morning")
        end = stored(task).paused_until.astimezone(ZoneInfo("Asia/Vladivostok"))
        assert (end.hour, end.minute) == (8, 0)

    @pytest.mark.parametrize(
        ("now", "morning"),
        [
            ("2026-11-24T02:00", "2026-11-24T08:00"),
            ("2026-11-24T08:00", "2026-11-25T08:00"),
            ("2026-11-24T22:30", "2026-11-25T08:00"),
        ],
    )
    def test_at_night_the_morning_is_that_of_the_same_day(self, now, morning):
        with timezone.override("Asia/Vladivostok"):
            at = timezone.make_aware(datetime.fromisoformat(now))
            assert next_morning(at) == timezone.make_aware(datetime.fromisoformat(morning))

    @pytest.mark.parametrize(
        ("moment", "error"),
        [("", "Enter an end time."), ("2020-01-01T08:00", "The pause has to end in the future.")],
    )
    def test_until_another_time_names_what_is_wrong_with_it(
        self, client, olga, task, moment, error
    ):
        response = press(client, task, "pause", until="other", moment=moment)
        assert response.context["form"].errors == {"moment": [error]}
        assert stored(task).paused_until is None

    def test_ends_by_hand_too(self, client, olga, task):
        press(client, task, "pause", until="hour")
        press(client, stored(task), "resume")
        assert stored(task).paused_until is None
