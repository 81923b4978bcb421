"""Removes what is old enough of our own history."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from django.contrib.sessions.models import Session
from django.db.models import Max, Q, QuerySet
from django.utils import timezone

from transfer.models import (
    AuditEntry,
    Entry,
    FlowHour,
    Incident,
    MaintenanceRun,
    MaintenanceTask,
    RejectedRow,
    Settings,
    TransferRun,
    Upload,
)
from transfer.models.run_base import BAD_STATES, GOOD_STATES, State
from transfer.servers.checks import old_days

ROWS_AT_ONCE = 5000
CHECK_DAYS = 1


def purge_history(now: datetime | None = None, *, dry_run: bool = False) -> dict[str, int]:
    """Does all that `purge_history_by_parts` does: table → rows removed."""
    report: dict[str, int] = {}
    for part in purge_history_by_parts(now, dry_run=dry_run):
        report |= part
    return report


def purge_history_by_parts(
    now: datetime | None = None, *, dry_run: bool = False
) -> Iterator[dict[str, int]]:
    """Removes runs that ended long ago, by the settings; yields table → rows removed so far.

    Failures, and runs with rejects, are kept longer; of each task the latest run, the latest
    success and the latest that knows its position always stay. Rejected rows go once they are
    closed, here and on their server, whose own table keeps what it has received. A dry run counts,
    and removes nothing.
    """
    now, retention = now or timezone.now(), Settings.load()
    long_ago = now - timedelta(retention.audit_days)
    old = _old(now, retention)
    if not dry_run:
        FlowHour.objects.merge(now)
    for name, rows in old.items():
        for removed in [rows.count()] if dry_run else _remove(rows):
            yield {name: removed}
    yield {
        "audit": AuditEntry.objects.filter(at__lt=long_ago).count()
        if dry_run
        else AuditEntry.forget(long_ago)
    }


def _old(now: datetime, retention: Settings) -> dict[str, QuerySet[Any]]:
    """The rows that are old enough, by table. The audit has rules of its own."""
    closed = RejectedRow.objects.exclude(state=RejectedRow.State.OPEN)
    rejects = closed.filter(closed_at__lt=now - timedelta(retention.reject_days))
    maintenance = _old_runs(MaintenanceRun, now, retention)
    # There is a check every minute, and of those that went well only the latest says anything.
    checks = MaintenanceRun.objects.filter(kind=MaintenanceTask.Kind.CHECK_CONNECTIONS).good()
    latest_check = checks.order_by().aggregate(latest=Max("pk"))["latest"]
    old_checks = checks.filter(finished_at__lt=now - timedelta(CHECK_DAYS)).exclude(pk=latest_check)
    return {
        # Those that a docked server has not closed yet are still needed.
        "rejects": rejects.filter(Q(is_written=True) | Q(server=None)),
        "entries": Entry.objects.filter(at__lt=now - timedelta(retention.audit_days)),
        "loads": Upload.objects.filter(closed_at__lt=now - timedelta(retention.audit_days)),
        "runs": _old_runs(TransferRun, now, retention),
        "maintenance": maintenance,
        "checks": old_checks.exclude(pk__in=maintenance.values("pk")),
        "seen_days": old_days(now),
        "incidents": Incident.objects.filter(ended_at__lt=now - timedelta(retention.history_days)),
        "sessions": Session.objects.filter(expire_date__lt=now),
    }


def _old_runs(model: Any, now: datetime, retention: Settings) -> QuerySet[Any]:
    longer = Q(state__in=[*BAD_STATES, State.REJECTS])
    latest = {"last": Max("pk"), "good": Max("pk", filter=Q(state__in=GOOD_STATES))}
    if model is TransferRun:
        latest["begun"] = Max("pk", filter=Q(position_from__isnull=False))
    by_task = model.objects.order_by().values("task").annotate(**latest).values_list(*latest)
    runs = model.objects.closed().exclude(pk__in={*chain(*by_task)} - {None})
    return runs.filter(
        (~longer & Q(finished_at__lt=now - timedelta(retention.history_days)))
        | Q(finished_at__lt=now - timedelta(retention.failure_days))
    )


def _remove(rows: QuerySet[Any]) -> Iterator[int]:
    """Removes them a batch at a time, so that locks are short; yields how many so far."""
    removed = 0
    yield removed
    while batch := list(rows.order_by("pk").values_list("pk", flat=True)[:ROWS_AT_ONCE]):
        rows.model._default_manager.filter(pk__in=batch).delete()
        removed += len(batch)
        yield removed
