"""What the maintenance tasks do: check the bonus servers, purge our history and the staging."""

import logging
from typing import Any

from django.db import DatabaseError, connection

from transfer.errors import OwnDatabaseFailed, TransferError
from transfer.models import (
    MaintenanceRun,
    MaintenanceTask,
)
from transfer.models.run_base import State
from transfer.runs.purge import purge_history, purge_staging
from transfer.servers.checks import check_connections

logger = logging.getLogger(__name__)


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


def _work(run: MaintenanceRun) -> dict[str, Any]:
    match MaintenanceTask.Kind(run.kind):
        case MaintenanceTask.Kind.CHECK_CONNECTIONS:
            return check_connections()
        case MaintenanceTask.Kind.PURGE_HISTORY:
            return purge_history(dry_run=run.dry_run)
        case MaintenanceTask.Kind.PURGE_STAGING:
            return purge_staging(dry_run=run.dry_run)
