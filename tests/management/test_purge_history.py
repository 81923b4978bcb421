"""What is removed when it is old enough, and what stays at any age."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import DatabaseError, transaction
from django.utils import timezone

from tests.databases import query
from transfer.models import (
    Actor,
    AuditEntry,
    MaintenanceRun,
    MaintenanceTask,
    RejectedRow,
    Settings,
    Upload,
)
from transfer.rejects.resend import resend
from transfer.runs.purge_history import purge_history

pytestmark = pytest.mark.django_db
LATER = timezone.now() + timedelta(days=4000)


@pytest.fixture
def old_things():
    for number, state in enumerate(RejectedRow.State):
        RejectedRow.objects.create(
            kind="balances",
            changeset=uuid4(),
            row=number,
            is_written=True,
            code="amount_zero",
            payload={},
            state=state,
            closed_at=None if state == "open" else timezone.now(),
        )
    Upload.objects.create(kind="cards", state="loaded", closed_at=timezone.now())
    AuditEntry.record(Actor("olga"), AuditEntry.Action.SETTINGS, Settings.load())


def counted():
    return RejectedRow.objects.count(), Upload.objects.count(), AuditEntry.objects.count()


def test_closed_rejects_loads_and_audit_go_and_open_rejects_stay(old_things):
    report = purge_history(LATER)
    assert {"rejects": 3, "loads": 1, "audit": 1}.items() <= report.items()
    assert counted() == (1, 0, 0)
    assert RejectedRow.objects.get().state == "open"


def test_what_is_young_stays(old_things):
    purge_history()
    assert counted() == (4, 1, 1)


def test_a_dry_run_counts_and_removes_nothing(old_things, capsys):
    assert purge_history(LATER, dry_run=True)["audit"] == 1
    call_command("purge_history", "--dry-run")
    assert counted() == (4, 1, 1)
    assert capsys.readouterr().out


def test_a_dry_run_counts_exactly_what_would_go(old_things):
    maintenance = MaintenanceTask.objects.all()
    for task in maintenance:
        for days in (0, 2, 100, 400):
            at = timezone.now() - timedelta(days)
            for state in ("succeeded", "failed"):
                MaintenanceRun.objects.create(
                    task=task, kind=task.kind, trigger="manual", state=state, finished_at=at
                )
    report = purge_history(dry_run=True)
    assert report == purge_history()
    assert (report["maintenance"], report["checks"]) == (5, 1)


def test_the_audit_stays_closed_to_everything_else(old_things):
    purge_history()
    with pytest.raises(DatabaseError, match="only ever added"), transaction.atomic():
        AuditEntry.objects.all().delete()
    purge_history(LATER)
    AuditEntry.record(Actor("olga"), AuditEntry.Action.SETTINGS, Settings.load())
    with pytest.raises(DatabaseError, match="only ever added"), transaction.atomic():
        AuditEntry.objects.all().delete()


def test_a_closed_reject_goes_once_its_server_has_closed_it_too(rejected, bonus, olga):
    (one,) = rejected("balances", ("4100", 0))
    resend(RejectedRow.objects.filter(pk=one.pk), {"amount": "5"}, olga)
    purge_history(LATER)
    assert RejectedRow.objects.filter(pk=one.pk).exists()
    rejected("balances", ("4200", 0))
    purge_history(LATER)
    assert [*RejectedRow.objects.values_list("state", "payload__account")] == [("open", "4200")]
    closed = "select resolved_by is not null from datatransfer.reject order by 1"
    assert query(bonus, closed) == [(False,), (True,)]
