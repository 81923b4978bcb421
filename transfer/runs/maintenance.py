"""What the maintenance tasks do: check the bonus servers, purge our history and the staging."""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, connection
from django.db.models import Max, Q, QuerySet
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from transfer.errors import OwnDatabaseFailed, TransferError
from transfer.models import (
    AuditEntry,
    MaintenanceRun,
    MaintenanceTask,
    RejectedRow,
    Settings,
    TransferRun,
    Upload,
)
from transfer.models.run_base import BAD_STATES, GOOD_STATES, State
from transfer.runs.reconcile import purge_all
from transfer.servers.checks import check_connections, old_days

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 5000
CHECK_DAYS = 1
QUEUE_DAYS = 1  # an entry that has been worked off says nothing that its run does not say


def execute_maintenance(run: MaintenanceRun) -> None:
    """Executes a run that has started, and closes it whatever happens."""
    try:
        run.finish(State.SUCCEEDED, _work(run))
    except TransferError as error:
        run.finish(State.FAILED, error=error)
    except DatabaseError as error:
        connection.close_if_unusable_or_obsolete()
        run.finish(State.FAILED, error=OwnDatabaseFailed(type(error).__name__))
    except Exception as error:
        logger.exception("maintenance run %s", run.pk)
        run.finish(State.FAILED, error=TransferError(type(error).__name__))


def purge_history(now: datetime | None = None, *, dry_run: bool = False) -> dict[str, int]:
    """Removes runs that ended long ago, by the settings: table → rows removed.

    Failures, and runs with rejects, are kept longer; of each task the latest run, the latest
    success and the latest that knows its position always stay. Rejected rows go once they are
    closed. A dry run counts, and removes nothing.
    """
    now, kept = now or timezone.now(), Settings.load()
    long_ago = now - timedelta(kept.audit_days)
    report = {
        name: rows.count() if dry_run else _remove(rows) for name, rows in _old(now, kept).items()
    }
    report["audit"] = (
        AuditEntry.objects.filter(at__lt=long_ago).count()
        if dry_run
        else AuditEntry.forget(long_ago)
    )
    return report


def _old(now: datetime, kept: Settings) -> dict[str, QuerySet[Any]]:
    """What is old enough, by table. Of the audit its own rules let go."""
    closed = RejectedRow.objects.exclude(state=RejectedRow.State.OPEN)
    upkeep = _old_runs(MaintenanceRun, now, kept)
    worked_off = DBTaskResult.objects.exclude(status="READY")
    return {
        "rejects": closed.filter(closed_at__lt=now - timedelta(kept.reject_days)),
        "loads": Upload.objects.filter(closed_at__lt=now - timedelta(kept.audit_days)),
        "runs": _old_runs(TransferRun, now, kept),
        "maintenance": upkeep,
        "checks": _old_checks(now).exclude(pk__in=upkeep.values("pk")),
        "seen_days": old_days(now),
        "queue": worked_off.filter(enqueued_at__lt=now - timedelta(QUEUE_DAYS)),
    }


def _old_checks(now: datetime) -> QuerySet[Any]:
    """There is one every minute, and of those that went well only the latest says anything."""
    checks = MaintenanceRun.objects.filter(kind=MaintenanceTask.Kind.CHECK_CONNECTIONS).good()
    latest = checks.order_by().aggregate(latest=Max("pk"))["latest"]
    return checks.filter(finished_at__lt=now - timedelta(CHECK_DAYS)).exclude(pk=latest)


def _old_runs(model: Any, now: datetime, kept: Settings) -> QuerySet[Any]:
    longer = Q(state__in=[*BAD_STATES, State.REJECTS])
    latest = [Max("pk"), Max("pk", filter=Q(state__in=GOOD_STATES))]
    if model is TransferRun:
        latest.append(Max("pk", filter=Q(position_from__isnull=False)))
    lines = (
        model.objects.order_by()
        .values("task")
        .annotate(**{f"latest_{number}": one for number, one in enumerate(latest)})
    )
    stay = {pk for line in lines for name, pk in line.items() if name != "task"}
    runs = model.objects.closed().exclude(pk__in=stay - {None})
    return runs.filter(
        (~longer & Q(finished_at__lt=now - timedelta(kept.history_days)))
        | Q(finished_at__lt=now - timedelta(kept.failure_days))
    )


def _remove(rows: QuerySet[Any]) -> int:
    """Removes them a batch at a time, so that nobody waits for long."""
    removed = 0
    while batch := list(rows.order_by("pk").values_list("pk", flat=True)[:ROWS_AT_ONCE]):
        rows.model._default_manager.filter(pk__in=batch).delete()
        removed += len(batch)
    return removed


def purge_staging(*, dry_run: bool = False) -> dict[str, Any]:
    """Removes staged rows that every task has moved long ago, by the settings.

    table → rows removed, or the tasks that keep its rows back. A dry run counts, and removes
    nothing. Raises TransferError.
    """
    report: dict[str, Any] = {}
    for result in purge_all(Settings.load().staging_days, dry_run=dry_run):
        report[result.kind.staging] = (
            {
                "kept_back_by": [
                    {**task.audit_params(), "error": error.code if error else ""}
                    for task, error in result.kept_back_by
                ]
            }
            if result.kept_back_by
            else {"rows": result.rows}
        )
    return report


def _work(run: MaintenanceRun) -> dict[str, Any]:
    match MaintenanceTask.Kind(run.kind):
        case MaintenanceTask.Kind.CHECK_CONNECTIONS:
            return check_connections()
        case MaintenanceTask.Kind.PURGE_HISTORY:
            return purge_history(dry_run=run.dry_run)
        case MaintenanceTask.Kind.PURGE_STAGING:
            return purge_staging(dry_run=run.dry_run)
