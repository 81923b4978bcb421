"""Keeps what a bonus server notes of its past as small as the log of shop All."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import uuid4

from transfer.causes.ledger import POSITION_MOVED
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.received import Totals
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError


@dataclass(frozen=True)
class Trimmed:
    """How many receipts were merged, or have lost their names; and how many exceptions went."""

    receipts: int = 0
    exceptions: int = 0


def trim(kind: Kind, source: ShopAll, target: BonusDatabase, origin: str, days: int) -> Trimmed:
    """Merge and cut the receipts of a server, and commit. `days` is the lifetime of lines.

    Nothing is done where there is no position, or one that is not in the log: it goes back first.
    Rows that the server was to do without, and whose line and receipt have gone, count as passed
    without effect from then on, as the sums of the log say.

    Raises AlreadyRunning, POSITION_MOVED.
    """
    with target.database.transaction(), source.snapshot():
        position = target.positions.lock(origin, kind) if target.has_schema() else None
        if position is None or not source.log.has(kind, position.place):
            return Trimmed()
        changed = target.receipts.merge(position)
        last = target.receipts.last_to_cut(position, days)
        gone = []
        if last is not None:
            skipped = target.receipts.skipped_up_to(position, last)
            lacking = {*source.log.lacks(kind, [one.changeset for one in skipped])}
            gone = [one for one in skipped if one.changeset in lacking]
            changed += target.receipts.cut(position, last, gone)
        if changed or gone:
            passed = Totals(
                unchanged=sum(one.rows for one in gone),
                amount_rejected=sum((one.amount for one in gone), Decimal(0)),
            )
            if not target.positions.advance(position, position.place, str(uuid4()), passed):
                raise TransferError(POSITION_MOVED)
        return Trimmed(changed, len(gone))
