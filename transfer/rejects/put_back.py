"""Puts rejects back into a bonus server that has lost them, from our copies.

Whether a corrected row is applied there is decided by what the server has rejected. Without the
reject of a row, the corrected one would count as a replacement of a row that the server has
accepted, and would be rejected in its turn.
"""

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.bonus_server.reject_reading import Reject
from transfer.engine.position import Position
from transfer.engine.shop_all.source import ShopAll
from transfer.models import RejectedRow, TransferTask
from transfer.models.rejects import RejectedRowQuerySet


def put_back_if_lost(
    task: TransferTask, source: ShopAll, target: BonusDatabase, position: Position
) -> None:
    """Puts rejects back where the server holds fewer than its position counts."""
    with target.database.transaction():
        held = target.rejects.count(position.origin, task.kind_spec)
        if held < position.totals.rejected:
            put_back(task, source, target, position)


def put_back(
    task: TransferTask,
    source: ShopAll,
    target: BonusDatabase,
    position: Position,
    *,
    is_put_forward: bool = False,
    original: str | None = None,
) -> int:
    """Writes the rejects of rows that the position has moved, as far as they are missing.

    The caller commits. Rows that it has yet to read are left out: the server may accept them now.
    So are rejects of its own reader that it does not count: those rows were read again. Only a
    position that is put forward may have moved them: `is_put_forward`. `original` is the reader of
    the server whose tables were copied: its rejects are written, too. A row that was rejected
    before a rebase is judged by the transaction under which it is staged today.

    Returns the number of the last reject of the position's reader that it has written, or 0.
    """
    last = 0
    rejects = RejectedRow.objects.filter(server=task.server_id)
    if original is not None:
        rejects |= _of_original(original)
    rejects = rejects.filter(kind=task.kind, reader__isnull=False, token__isnull=False).exclude(
        xid=None
    )
    today = _transactions_of_today(task, source, position, rejects)
    for one in rejects.order_by("reader", "number").iterator():
        number, is_own = one.number or 0, str(one.reader) == position.reader
        is_counted = is_own and number <= position.totals.rejected
        may_be_moved = not is_own or is_put_forward
        xid = today.get((str(one.origin), one.xid or 0))
        is_moved = xid is not None and position.has_moved(xid, one.staging_id)
        if is_counted or (may_be_moved and is_moved):
            target.rejects.put_back(task.kind_spec, str(one.reader), _reject(one))
            last = number if is_own else last
    return last


def _transactions_of_today(
    task: TransferTask, source: ShopAll, position: Position, rejects: RejectedRowQuerySet
) -> dict[tuple[str, int], int]:
    """The identities of shop All and transactions of rejected rows → the transactions under which
    these rows are staged today.
    """
    named = rejects.order_by().values_list("origin", "xid").distinct()
    places = [(str(origin), xid or 0) for origin, xid in named]
    before = [(origin, xid) for origin, xid in places if origin != position.origin]
    today = {(origin, xid): xid for origin, xid in places if origin == position.origin}
    if before:
        with source.snapshot():
            today |= source.rebase_log.transactions_of_today(task.kind_spec, before)
    return today


def keep_out_of_copy(task: TransferTask) -> None:
    """The server's tables are a copy of another's now: the rejects that it had before are not about
    these tables, as those of a server that was undocked, and are never put back.
    """
    RejectedRow.objects.filter(server=task.server_id, kind=task.kind).update(server=None)


def _of_original(reader: str) -> RejectedRowQuerySet:
    """The rejects of another server: of this reader, and of those that it had before."""
    rejects = RejectedRow.objects.filter(reader=reader)
    if server := rejects.exclude(server=None).values_list("server", flat=True).first():
        return rejects | RejectedRow.objects.filter(server=server)
    return rejects


def _reject(one: RejectedRow) -> Reject:
    return Reject(
        number=one.number or 0,
        token=str(one.token),
        origin=str(one.origin),
        xid=one.xid,
        staging_id=one.staging_id,
        code=one.code,
        sqlstate=one.sqlstate,
        constraint=one.constraint,
        payload=one.payload,
        at=one.created_at,
    )
