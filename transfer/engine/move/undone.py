"""Which rows of a chunk take back others, and whether this server has read those.

A server has read an original if its position says so:

- Under today's identity of shop All, the original came with an earlier batch, or is in the batch
  under way: then it is staged, and comes first, since it was committed before the row that takes it
  back was begun.
- Under an earlier identity, the position of that time has moved it. That one stays in the server's
  database. So the answer does not change if the original is purged, or shop All is renumbered.

A server that was docked after a purge of the original has never read it. If the original was
changed after it was taken back, the amounts add up to zero only where it was surely read before. If
it was purged, and an administrator has accepted since that the server lacks purged rows, it is not
certain either. Nor is it where the original is known under earlier identities alone, and the server
has no position of any of these times: its tables may be a copy of another server's.
"""

from dataclasses import dataclass

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.move.plan import ChunkPlan, Last
from transfer.engine.position import Position, sees
from transfer.engine.shop_all.change_decisions import StagedFor
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.undo_log import UndoneRow


@dataclass(frozen=True)
class Undone:
    """A row that takes back another, and what is known of that one under one of its origins."""

    note: UndoneRow
    is_unseen: bool  # the server has never read the original, as far as it knows
    is_uncertain: bool  # it may have read the original with another amount, or without knowing it

    @property
    def staged_for(self) -> StagedFor | None:
        """Why the row is not for this server, if it is not."""
        if not self.is_uncertain:
            return None
        return StagedFor(self.note.xid, self.note.id, self.note.old_id, had_read=False)

    @property
    def original(self) -> tuple[str, int, str, str, int, bool]:
        note = self.note
        return (note.xid, note.id, note.origin, note.old_xid, note.old_id, self.is_unseen)


def undone_in_chunk(
    plan: ChunkPlan, last: Last, source: ShopAll, target: BonusDatabase
) -> list[Undone]:
    """The rows of the chunk that take back others, once for each origin of these."""
    notes = source.undo_log.in_chunk(plan.kind, plan.before, plan.batch.snapshot, last)
    judge = Judge(plan, source, target)
    known = {(note.xid, note.id) for note in notes if judge.is_known(note)}
    return [
        Undone(
            note,
            judge.is_unseen(note),
            judge.is_uncertain(note) or (note.xid, note.id) not in known,
        )
        for note in notes
    ]


class Judge:
    """Asks the server's positions what it has read; each snapshot and transaction once."""

    def __init__(self, plan: ChunkPlan, source: ShopAll, target: BonusDatabase) -> None:
        self.plan = plan
        self.source = source
        self.target = target
        self.seen: dict[str, bool] = {}  # transaction → whether an earlier batch has read it
        self.positions: dict[str, Position | None] = {}  # origin → the position of that time

    def is_known(self, note: UndoneRow) -> bool:
        """Whether the server has a position of the time of this identity."""
        is_of_today = note.origin == self.plan.before.origin
        return is_of_today or self._position_of(note.origin) is not None

    def is_unseen(self, note: UndoneRow) -> bool:
        if note.origin == self.plan.before.origin:
            return not (note.is_staged or self._was_read(note))
        position = self._position_of(note.origin)
        return position is None or not position.has_moved(int(note.old_xid), note.old_id)

    def is_uncertain(self, note: UndoneRow) -> bool:
        before, decisions = self.plan.before, self.source.change_decisions
        if note.origin != before.origin:
            return False
        if note.changed_xid is None:
            return note.is_given_up and self._was_read(note)
        return not (
            self._came_with_an_earlier_batch(note)
            and decisions.had_read(before, note.old_xid, note.changed_xid, note.old_id)
        )

    def _was_read(self, note: UndoneRow) -> bool:
        """Whether it came before this chunk."""
        return self._came_with_an_earlier_batch(note) or self.plan.before.has_moved(
            int(note.old_xid), note.old_id
        )

    def _came_with_an_earlier_batch(self, note: UndoneRow) -> bool:
        if note.old_xid not in self.seen:
            seen = sees(self.plan.before.read_through, int(note.old_xid))
            self.seen[note.old_xid] = seen
        return self.seen[note.old_xid]

    def _position_of(self, origin: str) -> Position | None:
        if origin not in self.positions:
            self.positions[origin] = self.target.positions.get(origin, self.plan.kind)
        return self.positions[origin]
