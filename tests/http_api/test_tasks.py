"""Tasks that a program runs, pauses, resumes and switches."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.records import server
from transfer.models import AuditEntry, TransferRun, TransferTask

pytestmark = pytest.mark.django_db


@pytest.fixture
def task(db: Any) -> TransferTask:
    return server().tasks.get(kind="cards")


def last_entry() -> AuditEntry:
    return AuditEntry.objects.latest("id")


def test_a_run_is_queued_and_is_in_the_audit_under_the_name_of_the_key(program, task):
    answer = program.order(f"tasks/{task.pk}/run", REMOTE_ADDR="10.1.2.3")
    assert answer.status_code == 202
    run = TransferRun.objects.get()
    assert (answer.json()["id"], answer.json()["state"]) == (run.pk, "queued")
    assert answer.json()["starts"] == (
        "It waits: there is no background worker, and the scheduler is silent."
    )
    entry = last_entry()
    assert (entry.who, entry.action, entry.address) == ("1C (API)", "run", "10.1.2.3")
    assert entry.subject_id == task.pk


def test_a_task_that_has_an_open_run_is_not_run_twice(program, task):
    program.order(f"tasks/{task.pk}/run")
    answer = program.order(f"tasks/{task.pk}/run")
    assert (answer.status_code, answer.json()["code"]) == (409, "run_is_open")
    assert TransferRun.objects.count() == 1


def test_a_task_is_switched_on_and_off_with_a_reason(program, task):
    for on in (True, False):
        answer = program.order(f"tasks/{task.pk}/switch", {"enabled": on, "reason": "new year"})
        assert (answer.status_code, answer.json()["enabled"]) == (200, on)
        task.refresh_from_db()
        assert (task.enabled, task.changed_by) == (on, "1C (API)")
        assert (last_entry().action, last_entry().reason) == ("switch", "new year")


def test_a_task_is_paused_and_resumed(program, task):
    until = timezone.now() + timedelta(hours=2)
    answer = program.order(f"tasks/{task.pk}/pause", {"until": until.isoformat()})
    assert answer.status_code == 200
    task.refresh_from_db()
    assert (task.paused_until, task.paused_by) == (until, "1C (API)")
    answer = program.order(f"tasks/{task.pk}/resume")
    assert answer.json()["paused_until"] is None
    task.refresh_from_db()
    assert not task.is_paused()
    assert last_entry().action == "resume"


def test_a_change_of_an_old_version_is_refused(program, task):
    seen = program.ask(f"tasks/{task.pk}").json()["version"]
    program.order(f"tasks/{task.pk}/switch", {"enabled": True})
    answer = program.order(f"tasks/{task.pk}/switch", {"enabled": False, "version": seen})
    assert (answer.status_code, answer.json()["code"]) == (409, "changed_meanwhile")
    task.refresh_from_db()
    assert task.enabled


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("pause", {"until": "2020-01-01T00:00:00Z"}, "until"),
        ("pause", {"until": "2099-01-01T00:00:00"}, "until"),
        ("pause", {"until": "6301-11-06T00:06:02-19:27"}, "until"),
        ("pause", {"until": 4070908800}, "until"),
        ("pause", {"until": "4070908800"}, "until"),
        ("pause", {}, "until"),
        ("switch", {"enabled": 0}, "enabled"),
        ("switch", {"enabled": "off"}, "enabled"),
        ("switch", {"enabled": True, "version": "0"}, "version"),
        ("switch", {}, "enabled"),
        ("switch", {"enabled": True, "reason": "x" * 501}, "reason"),
        ("switch", {"enabled": True, "resaon": "x"}, "resaon"),
    ],
)
def test_a_body_with_a_mistake_changes_nothing_and_names_the_field(
    program, task, path, body, field
):
    before = TransferTask.objects.values().get(pk=task.pk)
    answer = program.order(f"tasks/{task.pk}/{path}", body)
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["errors"]] == [field]
    assert TransferTask.objects.values().get(pk=task.pk) == before


def test_a_body_that_is_no_json_is_refused(program, task):
    url = f"/api/v1/tasks/{task.pk}/switch"
    answer = program.post(url, "{enabled", content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "unreadable")


def test_a_task_that_does_not_exist_is_not_found(program):
    assert program.order("tasks/404/run").status_code == 404
    assert program.order("tasks/404/switch", {"enabled": True}).status_code == 404
