"""Closes the rejects whose rows were staged again, also after the process that did so has died."""

from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from transfer.engine.checks import NOTHING_TO_TAKE_BACK
from transfer.engine.kind import Kind
from transfer.engine.shop_all.correction_log import Sent, Unfinished
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.staging_import import StagingImport
from transfer.models import Actor, AuditEntry, RejectedRow

AT_ONCE = 5000

Row = TypeVar("Row", bound=tuple[Any, ...])

CLOSE = """
    update transfer_rejectedrow as reject
       set state = 'resent', closed_at = %s, closed_by = sent.by,
           resent_id = sent.new_id, resent_xid = sent.new_xid, resent_origin = %s
      from unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[])
           as sent (old_id, new_id, new_xid, by)
     where reject.kind = %s and reject.origin = %s and reject.staging_id = sent.old_id
       and reject.state = 'open'
"""


def lock(kind: Kind, rows: Iterable[tuple[str, int]]) -> int:
    """Locks the open rejects of these rows; returns how many of the rows have any.

    The rows come in the order of origin and number, in which everybody locks, or two would lock
    each other out.
    """
    locked = 0
    for origin, batch in batches(rows):
        rejects = (
            RejectedRow.objects.open()
            .filter(kind=kind.name, origin=origin, staging_id__in=[number for _, number in batch])
            .in_locking_order()
            .select_for_update(of=("self",))
        )
        locked += len(set(rejects.values_list("staging_id", flat=True)))
    return locked


def batches(rows: Iterable[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Parts of rows that begin with their origin and come in its order, each of one origin."""
    for origin, some in groupby(rows, key=lambda row: row[0]):
        while batch := list(islice(some, AT_ONCE)):
            yield str(origin), batch


def close_sent(kind: Kind, sent: Iterable[Sent], origin: str) -> int:
    """Closes the open rejects of rows that were staged again in the database `origin`.

    At every server that has rejected them. Returns how many rejects that were.
    """
    closed, now = 0, timezone.now()
    with connection.cursor() as cursor:
        for old_origin, batch in batches(sent):
            _, *columns = map(list, zip(*batch, strict=True))
            cursor.execute(CLOSE, [now, origin, *columns, kind.name, old_origin])
            closed += cursor.rowcount
    return closed


def close_staged(staged: StagingImport) -> None:
    """Closes the rejects whose rows `staged` has just sent again; both databases have to commit."""
    close_sent(staged.kind, staged.sent(), staged.shop_all.identity.origin())


def close_noted(shop_all: ShopAll, kind: Kind, origin: str, numbers: list[int]) -> None:
    """Closes those of these rejects that are open though their rows were sent."""
    if shop_all.corrections.exists():
        close_sent(
            kind, shop_all.corrections.notes_of(kind, origin, numbers), shop_all.identity.origin()
        )


def close_undone(shop_all: ShopAll, kind: Kind, numbers: list[int] | None = None) -> None:
    """Closes the open rejects of rows that were taken back: nobody shall send these again; and of
    rows that take back what a server has not accepted. Those of rows with these numbers, or all.
    """
    rejects = RejectedRow.objects.open().filter(kind=kind.name)
    if numbers is not None:
        rejects = rejects.filter(staging_id__in=numbers)
    reason = _("The load was taken back.")
    in_order = rejects.exclude(xid=None).order_by("origin", "staging_id")
    rows = in_order.values_list("origin", "staging_id", "xid", "code", "pk")
    for origin, batch in batches(rows.iterator(AT_ONCE)):
        numbers_of_batch = [number for _origin, number, _xid, _code, _pk in batch]
        done = {*shop_all.undo_log.undone(kind, origin, numbers_of_batch)}
        # The code alone proves nothing: a server may have forged it.
        claimed = [
            (number, xid or 0)
            for _origin, number, xid, code, _pk in batch
            if code == NOTHING_TO_TAKE_BACK
        ]
        done |= {*shop_all.undo_log.opposite(kind, claimed)} & {*claimed}
        closed = [pk for _origin, number, xid, _code, pk in batch if (number, xid) in done]
        RejectedRow.objects.open().filter(pk__in=closed).discard(reason, "")


def finish_interrupted() -> int:
    """Closes rejects whose process died after it had sent them; returns how many.

    Cheap when there are none. Raises TransferError.
    """
    if not RejectedRow.objects.open().exists():
        return 0
    with (
        ShopAll(settings.SHOP_ALL_DATABASE_URL, "resend", secret=True) as shop_all,
        shop_all.database.transaction(),
    ):
        corrections = shop_all.corrections
        unfinished = corrections.unfinished(settings.KINDS) if corrections.exists() else []
        return sum(_finish(shop_all, one) for one in unfinished)


@transaction.atomic
def _finish(shop_all: ShopAll, unfinished: Unfinished) -> int:
    kind, by = settings.KINDS[unfinished.kind], unfinished.sent_by
    closed = close_sent(kind, shop_all.corrections.sent_in(unfinished), shop_all.identity.origin())
    shop_all.corrections.finish(unfinished.xid)
    if closed:
        subject = RejectedRow(kind=kind.name)
        AuditEntry.record(Actor(by), AuditEntry.Action.RESEND, subject, new={"rows": closed})
    return closed
