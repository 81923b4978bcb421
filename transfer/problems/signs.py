"""Which kinds of problems there can be: one query says where to look."""

from datetime import datetime, timedelta
from enum import StrEnum, auto
from typing import Any

from django.db.models import Exists, F, QuerySet
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from transfer.approvals.limits import with_limits
from transfer.models import (
    Approval,
    AuditEntry,
    BonusServer,
    FailedStep,
    Incident,
    LeftBehind,
    OutagePart,
    Recipient,
    RecurringJob,
    RegisterAccount,
    RejectedRow,
)
from transfer.models.accounts import AccountState
from transfer.models.logins import PERIOD
from transfer.models.shared import names_that_hold
from transfer.problems.kinds import Code
from transfer.runs.slow_servers import long_waiting
from transfer.runs.workers import QUEUED_IN_VAIN

# The shops close at night, and their registers are switched off.
DARK = timedelta(hours=24)


class Sign(StrEnum):
    """Rows without which a kind of problem cannot be."""

    FAILED_JOB = auto()
    WAITING_ENTRY = auto()
    LONG_WAIT = auto()
    FAILING_STEP = auto()
    FAILING_SERVER = auto()
    LEFT_BEHIND = auto()
    FAILING_RECIPIENT = auto()
    OPEN_REJECT = auto()
    APPROVAL = auto()
    DARK_REGISTER = auto()
    LOCKED_LOG_IN = auto()
    OUTAGE = auto()


def signs(now: datetime) -> set[Sign]:
    """Return the signs of which there is at least one row. One query."""
    rows: dict[Sign, list[QuerySet[Any]]] = {
        Sign.FAILED_JOB: [RecurringJob.objects.exclude(error_code="")],
        Sign.WAITING_ENTRY: [
            DBTaskResult.objects.ready().filter(enqueued_at__lt=timezone.now() - QUEUED_IN_VAIN)
        ],
        Sign.LONG_WAIT: [long_waiting(now)],
        Sign.FAILING_STEP: [FailedStep.objects.failing()],
        Sign.FAILING_SERVER: [BonusServer.objects.failing()],
        Sign.LEFT_BEHIND: [LeftBehind.objects.all()],
        Sign.FAILING_RECIPIENT: [failing_recipients()],
        Sign.OPEN_REJECT: [RejectedRow.objects.open()],
        Sign.APPROVAL: [Approval.objects.waiting(), with_limits()],
        Sign.DARK_REGISTER: [dark_accounts()],
        Sign.LOCKED_LOG_IN: [locks_since(now - PERIOD)],
        Sign.OUTAGE: [OutagePart.objects.all(), Incident.objects.open().filter(code=Code.OUTAGE)],
    }
    held = names_that_hold({name: [*map(Exists, querysets)] for name, querysets in rows.items()})
    return {Sign(name) for name in held}


def failing_recipients() -> QuerySet[Recipient]:
    """Recipients whose messages do not arrive."""
    return Recipient.objects.filter(enabled=True).exclude(failing_since=None)


def dark_accounts() -> QuerySet[RegisterAccount]:
    """Accounts of registers that were seen once and have not been for DARK."""
    return RegisterAccount.objects.not_online().filter(
        shown_state=AccountState.OFFLINE,
        register__mothballed=False,
        last_seen__lt=F("server__accounts_at") - DARK,
    )


def locks_since(moment: datetime) -> QuerySet[AuditEntry]:
    """Log-ins that wrong passwords have locked since then."""
    return AuditEntry.objects.filter(action=AuditEntry.Action.LOCK, at__gt=moment)
