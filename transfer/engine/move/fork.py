"""Puts a position back to the last line that it and the log of shop All have in common.

The log lacks the position's last line where shop All was restored: from there on it is another log.
What the server has received above that line is then named by changeset, so nothing of it is sent
twice, and whatever the log has there now is sent if the server lacks it.
"""

from dataclasses import replace
from uuid import uuid4

from transfer.causes.ledger import POSITION_MOVED, SHOP_ALL_WENT_BACK
from transfer.engine import events
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.move.history import check_history, too_old
from transfer.engine.received import Position
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import ShopAllWentBack, TransferError

AT_ONCE = 50_000
"""Changesets that shop All is asked about at once."""


def go_back(
    kind: Kind, source: ShopAll, target: BonusDatabase, position: Position, installation: str
) -> None:
    """Put a locked position back to the fork; the caller commits.

    1. Finds the last place that receipts and log have in common, by number and mark. The same
       changeset at the same number proves nothing: two logs may both have it there.
    2. Finds which changesets above it the log lacks. Unless this installation has said, by a later
       line, that this is the right database, they are asked about before anything moves.
    3. Names what was received above the fork, and forgets the receipts above it.

    Raises HISTORY_TOO_OLD where there is no common place, or lines above it have gone;
    ShopAllWentBack, POSITION_MOVED.
    """
    with source.snapshot(kind):
        fork = source.log.last_common(kind, target.positions.places(position))
        if fork is None:
            raise too_old(kind, source, target)
        exceptions = target.positions.exceptions(position)
        check_history(kind, source, target, replace(position, place=fork), exceptions)
        if fork.number >= source.log.confirmed(kind, installation):
            lost = _lost(kind, source, target, position, fork.number)
            if lost:
                error = ShopAllWentBack(SHOP_ALL_WENT_BACK)
                error.changesets = tuple(lost)
                raise error
    if not target.positions.go_back(position, fork, str(uuid4())):
        raise TransferError(POSITION_MOVED)
    events.tell(
        events.FORK,
        kind=kind.name,
        database=target.database.party.saved,
        from_line=position.place.number,
        to_line=fork.number,
    )


def _lost(
    kind: Kind, source: ShopAll, target: BonusDatabase, position: Position, number: int
) -> list[str]:
    """Return the changesets that were received above a line and that the log lacks."""
    above = target.positions.received_above(position, number)
    lost: list[str] = []
    for first in range(0, len(above), AT_ONCE):
        lost += source.log.lacks(kind, above[first : first + AT_ONCE])
    return lost
