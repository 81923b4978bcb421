"""What the maintenance tasks do: check the bonus servers, purge, reconcile, make statements."""

from collections.abc import Iterable
from typing import Any

from transfer.models import Actor, MaintenanceRun, MaintenanceTask
from transfer.models.run_base import State
from transfer.queue.worker import Stopped
from transfer.runs.purge import purge_staging
from transfer.runs.purge_history import purge_history_by_parts
from transfer.runs.reconcile import reconcile_all
from transfer.servers.checks import check_connections
from transfer.statements.keep import make_monthly


def execute_maintenance(run: MaintenanceRun, stopped: Stopped) -> None:
    """Executes a run that has started, and closes it. Raises what it fails of.

    It ends after the step under way when somebody cancels it, or the worker has to end.
    """
    state = None
    report: dict[str, Any] = {}
    for step in _steps(run):
        report |= step
        if state := run.has_to_end(stopped):
            break
    run.finish(state or State.SUCCEEDED, report=report)


def _steps(run: MaintenanceRun) -> Iterable[dict[str, Any]]:
    """Does the work step by step, and tells after each what was done so far."""
    match MaintenanceTask.Kind(run.kind):
        case MaintenanceTask.Kind.CHECK_CONNECTIONS:
            return [check_connections()]
        case MaintenanceTask.Kind.PURGE_HISTORY:
            return purge_history_by_parts(dry_run=run.dry_run)
        case MaintenanceTask.Kind.PURGE_STAGING:
            return purge_staging(dry_run=run.dry_run)
        case MaintenanceTask.Kind.RECONCILE:
            return reconcile_all()
        case MaintenanceTask.Kind.STATEMENT:
            return make_monthly(Actor(""))
