"""Versions of what a page shows: a refresh after which nothing is new is answered by 304.

A version is made of the rows of our own database, of what the databases of others have just
answered, and of the user: it changes if any of these do. It also changes with each minute, for what
depends on the time alone, such as a task that becomes overdue. So no part is older than a minute.

All views have the same rows in their version, those of `GROWS` and `SMALL`. A table that is in
neither is changed together with one of these: see the test of the version.
"""

import hashlib
from collections.abc import Callable
from typing import Any

from django.db import connection
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import get_language
from django.views.decorators.http import condition

from transfer.access import role_of
from transfer.models import (
    AccountJob,
    Approval,
    AuditEntry,
    BonusServer,
    Bulletin,
    FailedStep,
    Heartbeat,
    Incident,
    LeftBehind,
    MaintenanceRun,
    MaintenanceTask,
    OutagePart,
    PlannedWork,
    Recipient,
    RecurringJob,
    RejectedRow,
    Settings,
    TaskBacklog,
    TransferRun,
    TransferTask,
)
from transfer.models.run_base import OPEN_STATES
from transfer.pages.back import is_part
from transfer.runs.backlog import Backlog

# Rows that are never changed once they are old and closed: the open ones, by this condition, and
# the latest.
OPEN_RUN = f"state in ({', '.join(repr(str(state)) for state in OPEN_STATES)})"
GROWS: dict[type[Model], str] = {
    AccountJob: "finished_at is null",
    Approval: f"state = '{Approval.State.WAITING}'",
    AuditEntry: "false",
    Incident: "ended_at is null",
    MaintenanceRun: OPEN_RUN,
    TransferRun: OPEN_RUN,
    RejectedRow: "false",  # with the decision on an older one comes an entry in the audit, or a run
}
LATEST = 100
# Every row counts: there are few.
SMALL: tuple[type[Model], ...] = (
    *(BonusServer, Bulletin, FailedStep, Heartbeat, LeftBehind, MaintenanceTask, OutagePart),
    *(PlannedWork, Recipient, RecurringJob, Settings, TaskBacklog, TransferTask),
)
# An update gives a row another place, or another transaction.
SUM = "select count(*) || ':' || coalesce(sum(hashtextextended(ctid::text || xmin::text, 0)), 0)"


def refreshed(also: Callable[..., Any] = lambda *_, **__: ()) -> Any:
    """Decorate a view whose part refreshes.

    `also` gets the view's arguments; it returns what is shown beside our own database, or None if
    this is not known before the page is made: then there is no version.
    """

    def etag(request: HttpRequest, *args: Any, **kwargs: Any) -> str | None:
        more = also(request, *args, **kwargs) if is_part(request) else None
        if more is None:
            return None
        known = (_of_user(request), of_rows(), more)
        return f'"{hashlib.sha256(repr(known).encode()).hexdigest()[:32]}"'

    return condition(etag_func=etag)


def of_rows() -> str:
    """A number for the rows of each model, which differs once any of them does. One query."""
    with connection.cursor() as cursor:
        cursor.execute(f"select concat_ws(' ', {', '.join(map(_sum, [*GROWS, *SMALL]))})")
        (numbers,) = cursor.fetchone()
    return str(numbers)


def _sum(model: type[Model]) -> str:
    table = f'"{model._meta.db_table}"'
    if model in SMALL:
        return f"({SUM} from {table})"
    latest = f"(select ctid, xmin from {table} order by id desc limit {LATEST}) as latest"  # noqa: S608
    return f"({SUM} from {table} where {GROWS[model]}), ({SUM} from {latest})"


def _of_user(request: HttpRequest) -> tuple[Any, ...]:
    """Who looks at what, how, and in which minute."""
    zone = timezone.get_current_timezone_name()
    minute = int(timezone.now().timestamp()) // 60
    address = request.get_full_path()
    return (request.user.pk, role_of(request.user), get_language(), zone, address, minute)


def of_backlogs(heard: dict[int, Backlog]) -> list[tuple[Any, ...]]:
    """What is shown of the answers of the databases, without the time at which they came."""
    return [
        (pk, one.rows, one.oldest, one.writing_since, str(one.error or ""), one.at_least)
        for pk, one in sorted(heard.items())
    ]
