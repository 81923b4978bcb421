"""Compares the position of a bonus server with the log of shop All, and puts it back to a fork.

The log lacks the position's last line where shop All was restored: from there on it is another log.
The position goes back to the last line that both have in common. What the server has received above
that line is then named by changeset, so nothing of it is sent twice, and all that the log has there
now is sent if the server lacks it.

Lines whose lifetime has ended are gone, and with them the names of their changesets. A server that
was restored to before such lines is refused: only an administrator can say which rows it lacks.
"""

from dataclasses import replace
from uuid import uuid4

from transfer.causes.ledger import HISTORY_TOO_OLD, POSITION_MOVED, SHOP_ALL_WENT_BACK
from transfer.engine import events
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.received import NOTHING, Exceptions, Position
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import ServerUndecided, ShopAllWentBack, TransferError

AT_ONCE = 50_000
"""Changesets that shop All is asked about at once."""


def check_history(
    kind: Kind, source: ShopAll, target: BonusDatabase, position: Position, exceptions: Exceptions
) -> None:
    """Raise HISTORY_TOO_OLD unless `is_in_history`."""
    if not is_in_history(kind, source, target, position, exceptions):
        raise too_old(kind, source, target)


def is_in_history(
    kind: Kind, source: ShopAll, target: BonusDatabase, position: Position, exceptions: Exceptions
) -> bool:
    """Return whether the log still says all that the server may need.

    The position is in the log of shop All, of which the caller has a snapshot. It does not say all
    where

    1. the position is below a line that has gone;
    2. a changeset that the server has passed was received in part, and its line has gone. Receipts
       name it: one that shop All has lost by a restore they do not name any more.
    """
    removed = source.log.removed(kind)
    if position.place.number < removed:
        return False
    in_part = [name for name, last in exceptions.incomplete.items() if last > NOTHING]
    lacking = source.log.lacks(kind, in_part) if removed and in_part else []
    return not (lacking and target.receipts.named(position, lacking))


def too_old(kind: Kind, source: ShopAll, target: BonusDatabase) -> ServerUndecided:
    """Return the error: somebody has to say what the server has received."""
    return ServerUndecided(
        HISTORY_TOO_OLD,
        database=target.name,
        kind=kind.name,
        table=kind.quoted_target,
        rows=source.log.end(kind).number,
        held=target.tables.count_rows(kind),
    )


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
