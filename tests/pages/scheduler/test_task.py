from datetime import time, timedelta
from html import unescape

import pytest
from django.urls import reverse
from django.utils import timezone, translation

from tests.pages.look import once_more
from tests.pages.scheduler.presses import IVAN, stored
from tests.records import a_run, wait_for
from transfer.causes.runs import UNEXPECTED
from transfer.errors import TransferError
from transfer.models import (
    AuditEntry,
    MaintenanceRun,
    MaintenanceTask,
    Settings,
    TransferTask,
)
from transfer.models.run_base import State
from transfer.pages.links import key_of
from transfer.queue.locks import Space, lock

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("olga")]
FIELDS = {
    "step": 5,
    "minutes_weekdays": [1, 2, 3, 4, 5, 6, 7],
    "minute": 0,
    "daily_at": "08:00",
    "weekly_at": "08:00",
    "monthly_at": "08:00",
}


def url(task, name="task"):
    return reverse(name, args=[key_of(task)])


def shown(client, task):
    response = client.get(url(task))
    assert response.status_code == 200
    return response.content.decode()


def save(client, task, rhythm, **fields):
    data = {**FIELDS, "rhythm": rhythm, "seen": task.version, **fields}
    return client.post(url(task, "task_schedule"), data)


class TestItsPage:
    def test_shows_what_waits_why_and_the_next_five_times(self, client, task):
        wait_for(task)
        html = shown(client, task)
        assert "412 rows" in html
        assert "The task is switched off." in html
        assert html.count("</time></li>") == 5

    def test_shows_the_history_of_its_switch_with_reasons(self, client, task):
        task.switch(True, IVAN, reason="go")
        task.switch(False, IVAN, reason="stop")
        html = shown(client, task)
        assert html.index("stop") < html.index(">go<")
        assert "10.0.0.7" not in html  # that is for administrators, in the audit

    def test_shows_its_last_runs_and_leads_to_all_of_them(self, client, task):
        run = a_run(task.server, state=State.FAILED, error_code="too_slow")
        html = shown(client, task)
        assert run.get_absolute_url() in html
        assert f"server={task.server.pk}&amp;kind=balances" in html

    def test_exists_for_maintenance_too(self, client):
        task = MaintenanceTask.objects.get(kind="purge_history")
        assert "every day at 03:30" in shown(client, task)

    @pytest.mark.parametrize("key", ["transfer-999999", "maintenance-0", "user-1", "transfer-x"])
    def test_is_not_found_without_a_task(self, client, key):
        assert client.get(f"/scheduler/{key}/").status_code == 404

    def test_of_maintenance_says_what_its_last_run_did(self, client, db):
        task = MaintenanceTask.objects.get(kind="purge_history")
        run = MaintenanceRun.of(task, "manual")
        run.start()
        run.finish(State.SUCCEEDED, report={"audit": 7})
        assert "Entries of the audit removed: 7" in shown(client, task)


class TestAChange:
    @pytest.mark.parametrize(
        ("name", "fields", "queries"),
        [
            ("switch", {"enabled": "1"}, 10),
            ("undo", {}, 10),
            ("explain", {"reason": "go"}, 9),
            ("pause", {"until": "hour"}, 10),
            ("resume", {}, 7),
            ("run", {}, 12),
            ("cancel", {}, 5),
        ],
    )
    def test_loads_the_task_once_and_leads_back(
        self, client, task, name, fields, queries, django_assert_num_queries
    ):
        shown(client, task)  # what is asked for once
        with django_assert_num_queries(queries) as captured:
            response = client.post(url(task, f"task_{name}"), {"seen": task.version, **fields})
        assert response.url.partition("?")[0] == url(task)
        loads = [one["sql"] for one in captured if "open_run_id" in one["sql"]]
        assert len(loads) == 1


class TestADryRun:
    def test_of_what_removes_something_is_offered_and_leads_to_its_result(self, client, db):
        task = MaintenanceTask.objects.get(kind="purge_history")
        assert "What would it remove?" in shown(client, task)
        response = client.post(url(task, "task_run"), {"dry": "1"})
        run = MaintenanceRun.objects.get()
        assert response.url == run.get_absolute_url()
        assert run.dry_run
        assert "By hand, olga, dry run" in " ".join(shown(client, task).split())
        assert AuditEntry.objects.about(task).first().new == {"dry_run": run.pk}

    def test_there_is_none_of_what_only_looks_or_moves(self, client, task):
        check = MaintenanceTask.objects.get(kind="check_connections")
        for one in (check, task):
            assert "What would it remove?" not in shown(client, one)
            client.post(url(one, "task_run"), {"dry": "1"})
        assert not MaintenanceRun.objects.get().dry_run

    def test_is_neither_the_last_result_nor_a_failure_of_the_task(self, client, db):
        task = MaintenanceTask.objects.get(kind="purge_history")
        run = MaintenanceRun.of(task, "manual", dry_run=True)
        run.start()
        run.finish(State.FAILED, error=TransferError(UNEXPECTED))
        assert "has never run" in shown(client, task)
        assert MaintenanceTask.objects.get(pk=task.pk).failures == 0


class TestTheScheduleEditor:
    @pytest.mark.parametrize(
        ("rhythm", "fields", "cron", "words"),
        [
            ("minutes", {"step": 15}, "*/15 * * * *", "every 15 minutes"),
            (
                "minutes",
                {"step": 15, "begin": "08:00", "end": "20:00", "minutes_weekdays": [1, 2, 3, 4, 5]},
                "*/15 8-19 * * 1-5; 0 20 * * 1-5",
                "every 15 minutes from 08:00 to 20:00, on weekdays",
            ),
            (
                "minutes",
                {"step": 30, "begin": "22:00", "end": "05:59"},
                "*/30 0-5,22,23 * * *",
                "every 30 minutes from 22:00 to 05:30",
            ),
            ("hourly", {"minute": 40}, "40 * * * *", "every hour at minute 40"),
            (
                "hours",
                {"hours": 6, "hours_minute": 30},
                "30 */6 * * *",
                "every 6 hours, from 00:30",
            ),
            ("daily", {"daily_at": "23:05"}, "5 23 * * *", "every day at 23:05"),
            (
                "weekly",
                {"weekdays": [1, 3], "weekly_at": "07:30"},
                "30 7 * * 1,3",
                "on Mondays and Wednesdays at 07:30",
            ),
            (
                "weekly",
                {"weekdays": [1, 2, 3, 4, 5], "weekly_at": "13.30; 9:00"},
                "0 9 * * 1-5; 30 13 * * 1-5",
                "on weekdays at 09:00 and 13:30",
            ),
            (
                "daily",
                {"daily_at": ", ".join(f"{hour}:00" for hour in range(24))},
                "; ".join(f"0 {hour} * * *" for hour in range(24)),
                "every hour on the hour",
            ),
            ("monthly", {"day": 15, "monthly_at": "04:00"}, "0 4 15 * *", "on day 15 of every"),
            ("cron", {"cron": "*/7  9-18 * * *"}, "*/7 9-18 * * *", "by the schedule cron"),
            (
                "cron",
                {"cron": "0 9 * * 1-5\r\n30 11 * * 6,7\r\n"},
                "0 9 * * 1-5; 30 11 * * 6,7",
                "on weekdays at 09:00; at weekends at 11:30",
            ),
        ],
    )
    def test_saves_each_rhythm_and_says_it_in_words(
        self, client, task, rhythm, fields, cron, words
    ):
        response = save(client, task, rhythm, **fields)
        assert stored(task).schedule == cron
        page = unescape(client.get(response.url).content.decode())
        assert f"The schedule of “{task}” is changed: {words}" in page
        entry = AuditEntry.objects.about(task).first()
        assert (entry.who, entry.old, entry.new) == (
            "olga",
            {"schedule": "*/5 * * * *"},
            {"schedule": cron},
        )

    def test_saves_that_the_task_runs_as_rows_arrive(self, client, task):
        response = save(client, task, "rows")
        saved = stored(task)
        assert (saved.as_rows_arrive, saved.schedule) == (True, "* * * * *")
        assert "as rows arrive" in client.get(response.url).content.decode()
        entry = AuditEntry.objects.about(task).first()
        assert (entry.old, entry.new) == ({"schedule": "*/5 * * * *"}, {"schedule": "@rows"})
        form = client.get(url(task, "task_schedule")).context["form"]
        assert form["rhythm"].value() == "rows"
        save(client, stored(task), "minutes", step=5)
        assert (stored(task).as_rows_arrive, stored(task).schedule) == (False, "*/5 * * * *")

    def test_says_that_cron_alone_means_every_minute(self, client, task):
        page = client.post(
            url(task, "task_schedule"), {"rhythm": "rows", "show": "1"}
        ).content.decode()
        assert "so the task runs every minute" in page
        with lock(Space.ARRIVALS, 0):
            page = client.post(
                url(task, "task_schedule"), {"rhythm": "rows", "show": "1"}
            ).content.decode()
        assert "A background process looks for new rows every second." in page
        assert "While none arrive, a run checks the bonus server every 15 minutes." in page

    def test_names_no_times_while_a_process_looks_for_rows(self, client, task):
        task.reschedule("@rows", IVAN)
        task.switch(True, IVAN)
        assert "Next five times" in shown(client, task)
        TransferTask.objects.update(looked_at=timezone.now())
        page = shown(client, task)
        assert "Next five times" not in page
        assert "Runs as rows arrive." in page

    def test_a_task_that_reads_no_rows_is_not_offered_to_run_as_they_arrive(self, client):
        maintenance = MaintenanceTask.objects.get(kind="reconcile")
        page = client.get(url(maintenance, "task_schedule")).content.decode()
        assert 'value="minutes"' in page
        assert 'value="rows"' not in page
        save(client, maintenance, "rows")
        maintenance.refresh_from_db()
        assert (maintenance.as_rows_arrive, maintenance.schedule) == (False, "0 5 * * *")

    @pytest.mark.parametrize(
        ("schedule", "fields"),
        [
            (
                "30 7 * * 1-5",
                {"rhythm": "weekly", "weekdays": [1, 2, 3, 4, 5], "weekly_at": "07:30"},
            ),
            (
                "0 9 * * 1-5; 30 13 * * 1-5",
                {
                    "rhythm": "weekly",
                    "weekly_at": "09:00, 13:30",
                    "cron": "0 9 * * 1-5\n30 13 * * 1-5",
                },
            ),
            (
                "*/15 8-19 * * 1-5; 0 20 * * 1-5",
                {
                    "rhythm": "minutes",
                    "step": 15,
                    "begin": time(8),
                    "end": time(20),
                    "minutes_weekdays": [1, 2, 3, 4, 5],
                },
            ),
            ("30 */8 * * *", {"rhythm": "hours", "hours": 8, "hours_minute": 30}),
            ("*/7 9-18 * * *", {"rhythm": "cron", "cron": "*/7 9-18 * * *"}),
        ],
    )
    def test_opens_with_the_schedule_as_it_is(self, client, task, schedule, fields):
        task.reschedule(schedule, IVAN)
        form = client.get(url(task, "task_schedule")).context["form"]
        assert {name: form[name].value() for name in fields} == fields

    @pytest.mark.parametrize(
        ("rhythm", "fields", "field", "error"),
        [
            ("cron", {"cron": "61 * * * *"}, "cron", "Minute: “61” won’t do."),
            ("cron", {"cron": ""}, "cron", "Enter a cron expression."),
            ("weekly", {}, "weekdays", "Choose at least one day of the week."),
            ("weekly", {"weekdays": [1], "weekly_at": " , "}, "weekly_at", "at least one time"),
            ("weekly", {"weekdays": [8]}, "weekdays", "Select a valid choice"),
            ("daily", {"daily_at": "9:00, 09:00"}, "daily_at", "09:00 is given twice. Remove one"),
            ("daily", {"daily_at": "09:00 morning"}, "daily_at", "“morning” is not a time of day."),
            (
                "daily",
                {"daily_at": " ".join(f"09:{minute:02}" for minute in range(25))},
                "daily_at",
                "Enter up to 24 times of day. Here are 25.",
            ),
            ("minutes", {"step": 7}, "step", "“7” does not divide an hour."),
            ("minutes", {"step": ""}, "step", "Choose the minutes between two runs."),
            ("minutes", {"minutes_weekdays": []}, "minutes_weekdays", "at least one day"),
            ("minutes", {"begin": "08:00"}, "end", "Enter both “From” and “Until”, or neither."),
            ("minutes", {"end": "08:00"}, "begin", "Enter both “From” and “Until”, or neither."),
            ("minutes", {"begin": "08:00", "end": "08:00"}, "end", "has to differ from “From”"),
            (
                "minutes",
                {"begin": "08:00", "end": "08:04"},
                "end",
                "later than “From” by 5 minutes or more",
            ),
            (
                "minutes",
                {"begin": "22:00", "end": "06:00", "minutes_weekdays": [5]},
                "end",
                "From 22:00 to 06:00 goes past midnight.",
            ),
            ("hourly", {"minute": 60}, "minute", "less than or equal to 59"),
            ("hours", {"hours": 5, "hours_minute": 0}, "hours", "“5” does not divide a day."),
            (
                "hours",
                {"hours": 6, "hours_minute": ""},
                "hours_minute",
                "Enter the minute of the hour",
            ),
            ("daily", {"daily_at": "25:00"}, "daily_at", "“25:00” is not a time of day."),
            ("monthly", {"day": 32}, "day", "less than or equal to 31"),
        ],
    )
    def test_names_what_is_wrong_at_its_field(self, client, task, rhythm, fields, field, error):
        form = save(client, task, rhythm, **fields).context["form"]
        assert list(form.errors) == [field]
        assert error in form.errors[field][0]
        assert stored(task).schedule == "*/5 * * * *"

    def test_ignores_what_is_wrong_with_a_field_that_does_not_count(self, client, task):
        save(client, task, "daily", daily_at="09:00", minute="99", cron="nonsense")
        assert stored(task).schedule == "0 9 * * *"

    def test_shows_the_next_five_times_before_anything_is_saved(self, client, task):
        asked = {**FIELDS, "show": "1", "rhythm": "daily", "daily_at": "09:00"}
        response = client.post(url(task, "task_schedule"), asked)
        assert response.context["words"] == "every day at 09:00"
        assert [f"{at:%H:%M}" for at in response.context["times"]] == ["09:00"] * 5
        assert "The schedule follows Moscow time." in response.content.decode()
        assert stored(task).schedule == "*/5 * * * *"

    def test_shows_what_is_wrong_with_the_name_of_the_field(self, client, task):
        asked = {**FIELDS, "show": "1", "rhythm": "hourly", "minute": 60}
        page = client.post(url(task, "task_schedule"), asked).content.decode()
        assert "Minute of the hour: Ensure this value is less than or equal to 59." in page

    def test_shows_each_cron_expression_on_a_line(self, client, task):
        asked = {**FIELDS, "show": "1", "rhythm": "daily", "daily_at": "09:00, 13:30"}
        response = client.post(url(task, "task_schedule"), asked)
        assert [f"{at:%H:%M}" for at in response.context["times"]][:3] in (
            ["09:00", "13:30", "09:00"],
            ["13:30", "09:00", "13:30"],
        )
        assert response.content.decode().count("<code>") == 2

    def test_says_it_in_russian_with_the_right_plural(self, client, task):
        asked = {**FIELDS, "show": "1", "rhythm": "minutes", "step": 2}
        with translation.override("ru"):
            client.cookies["django_language"] = "ru"
            response = client.post(url(task, "task_schedule"), asked)
        assert response.context["words"] == "каждые 2 минуты"

    def test_follows_the_zone_of_the_settings(self, client, task):
        Settings.load().change(IVAN, time_zone="Asia/Vladivostok")
        asked = {**FIELDS, "show": "1", "rhythm": "daily", "daily_at": "09:00"}
        response = client.post(url(task, "task_schedule"), asked)
        assert "02:00" in response.content.decode()  # as the reader's clock in Moscow shows it
        assert "The schedule follows Vladivostok time." in response.content.decode()
        Settings.load().change(IVAN, time_zone="Europe/Berlin")
        page = client.post(url(task, "task_schedule"), asked).content.decode()
        assert "The schedule follows the clock of Europe/Berlin, also when it changes" in page

    def test_asks_when_somebody_else_has_changed_the_task(self, client, task):
        seen = stored(task)
        task.reschedule("0 3 * * *", IVAN)
        response = save(client, seen, "daily", daily_at="09:00")
        assert response.status_code == 409
        assert "every day at 03:00" in response.content.decode()
        assert stored(task).schedule == "0 3 * * *"
        client.post(url(task, "task_schedule"), once_more(response))
        assert stored(task).schedule == "0 9 * * *"

    @pytest.mark.parametrize(
        ("rhythm", "fields", "schedule"),
        [
            ("weekly", {"weekdays": [2, 4]}, "0 8 * * 2,4"),
            (
                "cron",
                {"cron": "0 9 * * 1-5\r\n30 11 * * 6,7"},
                "0 9 * * 1-5; 30 11 * * 6,7",
            ),
        ],
    )
    def test_a_conflict_keeps_all_values_of_a_field(self, client, task, rhythm, fields, schedule):
        seen = stored(task)
        task.pause(timezone.now() + timedelta(hours=1), IVAN)
        asked = save(client, seen, rhythm, **fields)
        client.post(url(task, "task_schedule"), once_more(asked))
        assert stored(task).schedule == schedule
