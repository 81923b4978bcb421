"""What the maintenance tasks do: check the bonus servers, purge our history and the staging."""

from typing import Any

from transfer.models import MaintenanceRun, MaintenanceTask
from transfer.models.run_base import State
from transfer.queue.worker import Stopped
from transfer.runs.purge import purge_history, purge_staging
from transfer.servers.checks import check_connections


def execute_maintenance(run: MaintenanceRun, _stopped: Stopped) -> None:
    """Executes a run that has started, and closes it. Raises what it fails of."""
    run.finish(State.SUCCEEDED, report=_report(run))


def _report(run: MaintenanceRun) -> dict[str, Any]:
    match MaintenanceTask.Kind(run.kind):
        case MaintenanceTask.Kind.CHECK_CONNECTIONS:
            return check_connections()
        case MaintenanceTask.Kind.PURGE_HISTORY:
            return purge_history(dry_run=run.dry_run)
        case MaintenanceTask.Kind.PURGE_STAGING:
            return purge_staging(dry_run=run.dry_run)
