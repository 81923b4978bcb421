"""Puts rejects back into a bonus server that has lost them, from our copies.

Whether a corrected row is applied there is decided by what the server has rejected. Without the
reject of a row, the corrected one would count as a replacement of a row that the server has
accepted, and would be rejected in its turn.
"""

from django.db.models import Q

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.bonus_server.reject_reading import Reject
from transfer.engine.position import Position
from transfer.models import RejectedRow, TransferTask


def put_back_if_lost(task: TransferTask, target: BonusDatabase, position: Position) -> None:
    """Puts rejects back where the server holds fewer than its position counts."""
    with target.database.transaction():
        held = target.rejects.count(position.origin, task.kind_spec)
        if held < position.totals.rejected:
            put_back(task, target, position)


def put_back(task: TransferTask, target: BonusDatabase, position: Position) -> None:
    """Writes the rejects of rows that the position has moved, as far as they are missing.

    The caller commits. Rows that it has yet to read are left out: the server may accept them now.
    """
    of_position = Q(reader=position.reader, number__lte=position.totals.rejected)
    rejects = RejectedRow.objects.filter(of_position | Q(origin=position.origin)).filter(
        server=task.server_id, kind=task.kind, reader__isnull=False, token__isnull=False
    )
    for one in rejects.exclude(xid=None).order_by("reader", "number").iterator():
        is_counted = str(one.reader) == position.reader
        if is_counted or position.has_moved(one.xid or 0, one.staging_id):
            reject = Reject(
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
            target.rejects.put_back(task.kind_spec, str(one.reader), reject)
