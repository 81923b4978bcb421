"""Opens rejects again whose corrected rows are gone since shop All was restored.

A corrected row and the note of it are written in one transaction, so a copy of shop All from before
lacks both, while the rejects are closed here. Whether a bonus server has received the row
nevertheless, its position of before the rebase says, which stays in its database. A row that is
sent again is applied at every server that has rejected it: so the rejects of a row are opened only
if none of their servers has received the corrected row.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from itertools import groupby
from operator import attrgetter, or_
from uuid import UUID

from django.conf import settings
from django.db.models import Q, QuerySet

from transfer.engine.kind import Kind
from transfer.engine.shop_all.source import ShopAll
from transfer.models import Actor, AuditEntry, RejectedRow, TransferRun, Upload
from transfer.rejects.closing import batches
from transfer.rejects.old_positions import OldPositions

State = RejectedRow.State
Transaction = tuple[UUID | None, int | None]


@dataclass
class Reopened:
    """Rejected rows of one kind whose corrections are gone."""

    rows: int = 0
    kept: int = 0  # left closed: a server has received the correction, or can't be asked


def reopen_lost(kind: Kind, actor: Actor) -> Reopened:
    """Opens the rejects of the kind again whose corrections are gone with a restore; audited.

    Looks at those that were sent again under another identity of shop All than that of today: one
    that a rebase has replaced, or that was itself lost with a restore to before a rebase. Raises
    TransferError where shop All can't be asked.
    """
    result, positions = Reopened(), OldPositions(kind)
    for rejects in _lost(kind):
        received = [_has_received(reject, positions) for reject in rejects]
        if all(one is False for one in received):
            result.rows += 1
            RejectedRow.objects.filter(pk__in=[reject.pk for reject in rejects]).update(
                state=State.OPEN,
                closed_at=None,
                closed_by="",
                resent_id=None,
                resent_xid=None,
                resent_origin=None,
            )
        elif not all(received):
            result.kept += 1
    if result.rows:
        subject = RejectedRow(kind=kind.name)
        new = {"rows": result.rows, "state": State.OPEN}
        AuditEntry.record(actor, AuditEntry.Action.RESEND, subject, new=new)
    return result


def reopen_taken_back(load: Upload, since: datetime) -> int:
    """Opens rejects again that an undo of the load has closed which is gone; returns how many.

    Those of its rows, and of the rows that were sent in place of them. `since`: when the undo was
    ordered.
    """
    rejects = RejectedRow.objects.filter(kind=load.kind)
    found: set[Transaction] = set()
    more: set[Transaction] = {(load.origin, load.xid)}
    while more:
        found |= more
        resent = rejects.filter(_of_transactions(more), state=State.RESENT)
        more = {*resent.values_list("resent_origin", "resent_xid")} - found
    closed = rejects.filter(
        _of_transactions(found), state=State.DISCARDED, closed_by="", closed_at__gte=since
    )
    return closed.update(state=State.OPEN, closed_at=None, close_reason="")


def _of_transactions(transactions: Collection[Transaction]) -> Q:
    """Rejects of rows that these transactions have staged, each with the identity of shop All."""
    of_each = (Q(origin=origin, xid=xid) for origin, xid in transactions)
    return reduce(or_, of_each)


def _lost(kind: Kind) -> Iterator[list[RejectedRow]]:
    """The rejects of each row whose correction shop All does not know."""
    with ShopAll(settings.SHOP_ALL_DATABASE_URL, "resend", secret=True) as shop_all:
        with shop_all.database.transaction(commit=False):
            today = shop_all.identity.origin()
        rows = _sent_before(kind, today).values_list("origin", "staging_id").distinct()
        for origin, batch in batches(rows.order_by("origin", "staging_id").iterator()):
            numbers = [number for _, number in batch]
            with shop_all.database.transaction(commit=False):
                notes = shop_all.corrections.notes_of(kind, origin, numbers)
            gone = {*numbers} - {note.old_id for note in notes}
            rejects = _sent_before(kind, today).filter(origin=origin, staging_id__in=gone)
            in_order = rejects.select_related("server").order_by("staging_id")
            for _, of_row in groupby(in_order, key=attrgetter("staging_id")):
                yield list(of_row)


def _sent_before(kind: Kind, today: str) -> QuerySet[RejectedRow]:
    """The rejects of the kind that were sent again under another identity than that of today."""
    sent = RejectedRow.objects.filter(kind=kind.name, state=State.RESENT)
    noted = sent.filter(resent_origin__isnull=False, resent_xid__isnull=False)
    return noted.exclude(resent_origin=today)


def _has_received(reject: RejectedRow, positions: OldPositions) -> bool | None:
    """Whether the reject's server has received the correction; None where that is not certain.

    A position may also call it moved because shop All, restored before, has given the number of an
    earlier transaction out again. Then no run has moved anything since the correction was made.
    """
    if reject.resent_xid is None or reject.resent_id is None:
        return None
    origin = str(reject.resent_origin)
    received = positions.has_received(reject.server, origin, reject.resent_xid, reject.resent_id)
    return None if received and not _has_moved_since(reject) else received


def _has_moved_since(reject: RejectedRow) -> bool:
    """Whether a run has moved rows of the kind to the reject's server since it was closed."""
    moved = TransferRun.objects.filter(
        task__server=reject.server_id, task__kind=reject.kind, read__gt=0
    )
    later = Q(finished_at__isnull=True) | Q(finished_at__gte=reject.closed_at)
    return moved.filter(later).exists()
