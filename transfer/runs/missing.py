"""Rows that were deleted from a staging table by hand, and that a bonus server still needs.

The transfers of that kind refuse until somebody decides, once for all bonus servers: go on without
these rows, for good. Staged again they are new rows.
"""

from django.conf import settings

from transfer.causes.ledger import ROWS_DIFFER
from transfer.engine.kind import Kind
from transfer.engine.shop_all.gone import Missing, accept, missing
from transfer.engine.shop_all.purge import needs_from
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import PurgeWaits, TransferError
from transfer.models import Actor, AuditEntry, Settings, TransferTask
from transfer.models.run_base import attach_runs
from transfer.runs.needed import ask_servers, last_known
from transfer.runs.start import go_on, refused_for
from transfer.servers.ask import shop_all

SECONDS = 60.0
"""That a command waits for all bonus servers."""


def missing_rows(kind: Kind, seconds: float = SECONDS) -> list[Missing]:
    """Return the changesets that have lost rows which a docked server still needs.

    A server that does not answer counts with what our own history knows of it. Raises TransferError
    where shop All does not answer.
    """
    tasks = [*TransferTask.objects.filter(kind=kind.name).select_related("server")]
    with shop_all(seconds, secret=bool(kind.secrets)) as source:
        return _missing(kind, source, tasks, seconds)


def _missing(
    kind: Kind, source: ShopAll, tasks: list[TransferTask], seconds: float
) -> list[Missing]:
    with source.snapshot():
        origin = source.identity.origin()
    servers = [
        last_known(task, origin) if isinstance(answer, TransferError) else answer
        for task, answer in ask_servers(tasks, origin, seconds)
    ]
    with source.snapshot(kind):
        try:
            first = needs_from(kind, source, servers).line
        except PurgeWaits:  # of another past, or restored: it may need any line
            first = 1
        return missing(kind, source, first)


def forget_rows(kind: Kind, actor: Actor, seconds: float = SECONDS) -> list[Missing]:
    """Go on without the missing rows, for all bonus servers and for good; return them. Audited.

    The tasks that have refused are tried again within a minute. Raises TransferError.
    """
    tasks = [*TransferTask.objects.filter(kind=kind.name).select_related("server")]
    with ShopAll(settings.SHOP_ALL_DATABASE_URL, "forget", secret=bool(kind.secrets)) as source:
        listed = _missing(kind, source, tasks, seconds)
        if not listed:
            return []
        accept(kind, source, [one.changeset for one in listed])
    new = {"kind": kind.name, "given_up": sum(one.rows for one in listed)}
    AuditEntry.record(actor, AuditEntry.Action.FORGET, Settings.load(), new=new)
    go_on(refused_for(ROWS_DIFFER, attach_runs(tasks_of(kind))))
    return listed


def tasks_of(kind: Kind) -> list[TransferTask]:
    """Return the tasks of a kind, with their runs to come."""
    return [*TransferTask.objects.with_runs().filter(kind=kind.name).select_related("server")]
