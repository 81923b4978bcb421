"""Writes down on a bonus server which of its rejects people have discarded.

What a server has received, and what became of it, is in its own database. Our decision is kept in
ours, and the next run of the task writes it there, before it moves anything.
"""

from dataclasses import replace
from itertools import islice
from uuid import uuid4

from transfer.causes.ledger import POSITION_MOVED
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.bonus_server.rejects import RowName
from transfer.engine.received import Position
from transfer.errors import TransferError
from transfer.models import RejectedRow, TransferTask
from transfer.rejects.mirror import note_version

AT_ONCE = 10_000


def write_discards(task: TransferTask, target: BonusDatabase, position: Position) -> Position:
    """Close on the server the rejects of the task that are discarded; return the position.

    It has a new version if something was written. Then our copy of the rejects is of that version,
    too, if it was up to date. Raises AlreadyRunning, POSITION_MOVED.
    """
    unwritten = RejectedRow.objects.filter(server=task.server_id, kind=task.kind, is_written=False)
    rejects = unwritten.filter(state=RejectedRow.State.DISCARDED)
    rows = rejects.values_list("pk", "changeset", "row").iterator(AT_ONCE)
    while some := [*islice(rows, AT_ONCE)]:
        names = [RowName(str(changeset), row) for _pk, changeset, row in some]
        version = str(uuid4())
        with target.database.transaction():
            held = target.positions.lock(position.origin, task.kind_spec)
            if held is None:
                raise TransferError(POSITION_MOVED)
            target.rejects.discard(held, version, names)
            if not target.positions.touch(held, version):
                raise TransferError(POSITION_MOVED)
        if str(task.mirrored_version) == held.version:
            note_version(task, version)
        RejectedRow.objects.filter(pk__in=[pk for pk, *_name in some]).update(is_written=True)
        position = replace(held, version=version)
    return position
