"""`manage.py task list|on|off|pause|resume|schedule|run|cancel`."""

import json
import re
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import translation

from transfer.engine.kinds import KINDS
from transfer.models import AuditEntry, MaintenanceRun, MaintenanceTask, TransferRun
from transfer.models.run_base import Trigger
from transfer.models.runs import State

SERVER = "Бонусный сервер 8"


def say(*arguments):
    """Runs a command in English; returns its exit code and what it wrote."""
    out = StringIO()
    with translation.override("en"):
        try:
            call_command(*arguments, stdout=out)
        except SystemExit as ended:
            return ended.code, out.getvalue()
        except CommandError as error:
            return error.returncode, str(error)
    return 0, out.getvalue()


def say_json(*arguments):
    """The objects that a command writes with `--json`."""
    return [json.loads(line) for line in say(*arguments, "--json")[1].splitlines()]


def test_the_list_has_every_task_with_its_state_and_schedule(task):
    say("task", "on", "balances")
    lines = {line.partition(":")[0]: line for line in say("task", "list")[1].splitlines()}
    assert "every 5 minutes; on, next run" in lines[f"Balance changes → {SERVER}"]
    assert lines[f"PIN codes → {SERVER}"].endswith("; off")
    assert lines["Purge the history"].endswith("every day at 03:30; off")
    assert len(lines) == len(KINDS) + MaintenanceTask.objects.count()


def test_the_list_as_json_says_what_a_program_needs(task):
    say("task", "pause", "cards", "--until", "2099-12-31T08:00")
    say("task", "on", "cards")
    tasks = {(one["kind"], one["server"]): one for one in say_json("task", "list")}
    cards = tasks["cards", SERVER]
    assert (cards["on"], cards["schedule"]) == (True, "*/5 * * * *")
    assert cards["paused_until"] == "2099-12-31T05:00:00+00:00"
    assert cards["next_run_at"] > cards["paused_until"]
    assert tasks["reconcile", None]["schedule"] == "0 5 * * *"


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (["on", "balances"], "on", True),
        (["off", "balances"], "on", False),
        (["pause", "balances", "--until", "2099-12-31T08:00"], "paused_until", "2099-12-31T05"),
        (["resume", "balances"], "paused_until", None),
        (["schedule", "balances", "--cron", "0 9 * * 1"], "schedule", "0 9 * * 1"),
    ],
)
def test_each_change_answers_with_the_changed_task_as_json(task, arguments, field, value):
    (changed,) = say_json("task", *arguments)
    assert (changed["kind"], changed["server"]) == ("balances", SERVER)
    assert str(changed[field]).startswith(str(value))


def test_a_run_that_is_queued_and_cancelled_is_named_as_json(task):
    (queued,) = say_json("task", "run", "balances")
    assert (queued["state"], queued["queued"]) == ("queued", True)
    (again,) = say_json("task", "run", "balances")
    assert (again["run"], again["queued"]) == (queued["run"], False)
    assert say_json("task", "cancel", queued["run"]) == [
        {"run": queued["run"], "state": "cancelled"}
    ]


def test_a_task_is_switched_on_and_off(task):
    code, output = say("task", "on", "balances", "--server", SERVER, "--reason", "go")
    task.refresh_from_db()
    assert (code, task.enabled, task.change_reason) == (0, True, "go")
    assert "next run" in output
    assert task.changed_by.endswith("(manage.py)")
    assert say("task", "off", "balances")[1].endswith(": off\n")


def test_all_transfers_are_switched_together(server):
    say("task", "on", "all")
    assert server.tasks.enabled().count() == len(KINDS)


@pytest.mark.parametrize("until", ["30m", "2h", "3d"])
def test_a_pause_ends_after_a_while(task, until):
    assert say("task", "pause", "balances", "--until", until, "--reason", "inventory")[0] == 0
    task.refresh_from_db()
    assert task.is_paused()
    assert say("task", "resume", "balances")[0] == 0
    task.refresh_from_db()
    assert not task.is_paused()


def test_a_pause_until_a_time_is_read_in_the_settings_zone(task):
    assert say("task", "pause", "balances", "--until", "2099-12-31T08:00")[0] == 0
    task.refresh_from_db()
    assert task.paused_until == datetime(2099, 12, 31, 5, tzinfo=UTC)
    code, output = say("task", "pause", "balances", "--until", "2001-01-01")
    assert (code, output) == (2, "The pause has to end in the future.")


def test_a_schedule_is_changed_and_said_in_words(task):
    code, output = say("task", "schedule", "balances", "--cron", "0 9 * * 1")
    assert code == 0
    assert "on Mondays at 09:00" in output
    assert say("task", "schedule", "balances", "--cron", "61 * * * *") == (
        2,
        "Minute: “61” won’t do. Give 0–59, *, */5, 10-20 or 0,30.",
    )


def test_a_schedule_may_have_several_expressions(task):
    times = ["--cron", "0 9 * * 1-5", "--cron", "30 13 * * 1-5"]
    code, output = say("task", "schedule", "balances", *times)
    assert code == 0
    assert "on weekdays at 09:00 and 13:30; the next times: " in output
    kinds = {one["kind"]: one for one in say_json("task", "list") if one["server"]}
    assert kinds["balances"]["schedule"] == "0 9 * * 1-5; 30 13 * * 1-5"
    assert say("task", "schedule", "balances", *times, "--cron", "0 25 * * *") == (
        2,
        "“0 25 * * *”: Hour: “25” won’t do. Give 0–23, *, */2, 8-20 or 9,18.",
    )


def test_transfers_run_as_rows_arrive_and_the_list_says_so(task):
    code, output = say("task", "schedule", "balances", "--as-rows-arrive")
    assert (code, output.strip()) == (0, f"Balance changes → {SERVER}: as rows arrive")
    say("task", "on", "balances")
    listed = say("task", "list")[1]
    assert f"Balance changes → {SERVER}: as rows arrive; on, runs as rows arrive" in listed
    kinds = {(one["kind"], one["server"]): one for one in say_json("task", "list")}
    assert kinds["balances", SERVER]["schedule"] == "@rows"
    say("task", "schedule", "balances", "--cron", "0 9 * * 1")
    assert "as rows arrive" not in say("task", "list")[1]


def test_maintenance_does_not_run_as_rows_arrive(db):
    assert say("task", "schedule", "reconcile", "--as-rows-arrive") == (
        2,
        "Only transfers can run as rows arrive.",
    )


def test_a_run_is_queued_and_a_second_one_refused(task):
    assert say("task", "run", "balances")[0] == 0
    assert TransferRun.objects.get().state == State.QUEUED
    assert say("task", "run", "balances")[0] == 3
    assert AuditEntry.objects.filter(action="run").count() == 1


def test_a_run_is_cancelled(task):
    say("task", "run", "balances")
    pk = TransferRun.objects.get().pk
    assert say("task", "cancel", str(pk)) == (0, f"Run {pk} is cancelled.\n")
    assert say("task", "cancel", str(pk))[0] == 1
    assert say("task", "cancel", "0")[0] == 2


def test_the_name_that_a_queued_run_has_cancels_that_run_and_no_other(task):
    name = re.search(r"run (\S+) is queued", say("task", "run", "purge_history")[1])[1]
    maintenance = MaintenanceRun.objects.get()
    transfer = TransferRun.of(task, Trigger.MANUAL)
    transfer.pk = maintenance.pk
    transfer.save()
    assert say("task", "cancel", name) == (0, f"Run {name} is cancelled.\n")
    maintenance.refresh_from_db()
    transfer.refresh_from_db()
    assert (maintenance.state, transfer.state) == (State.CANCELLED, State.QUEUED)
    assert say("task", "cancel", f"transfer-{transfer.pk}")[0] == 0
    transfer.refresh_from_db()
    assert transfer.state == State.CANCELLED


@pytest.mark.parametrize("name", ["maintenance-0", "user-1", "maintenance-", "x", "-1"])
def test_a_name_that_no_run_has_is_wrong_usage(db, name):
    assert say("task", "cancel", "--", name) == (2, f"There is no run {name}.")
