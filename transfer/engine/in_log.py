"""What a bonus server has received, in the numbers of the log as it is now.

From a restore of shop All until the server's next run, its position names a line that the log
lacks. Whoever only asks reads the position as if it had gone back to the fork already
(`move/fork.py`). Nothing is locked or changed.
"""

from collections.abc import Collection
from dataclasses import dataclass

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.bonus_server.positions import ReceivedOf
from transfer.engine.kind import Kind
from transfer.engine.move.fork import too_old
from transfer.engine.received import WHOLE, Place, Position
from transfer.engine.shop_all.source import ShopAll


@dataclass(frozen=True)
class InLog:
    """`place`: the last line of the log that the server has passed. `is_forked`: the log lacks the
    line of its position.
    """

    position: Position
    place: Place
    is_forked: bool


def in_log(kind: Kind, source: ShopAll, target: BonusDatabase, position: Position) -> InLog:
    """Return how far a server has passed the log.

    The caller has a snapshot of the server, in which the position was read, and a later one of shop
    All. Raises HISTORY_TOO_OLD where they have no line in common.
    """
    if source.log.has(kind, position.place):
        return InLog(position, position.place, is_forked=False)
    fork = source.log.last_common(kind, target.positions.places(position))
    if fork is None:
        raise too_old(kind, source, target)
    return InLog(position, fork, is_forked=True)


def lasts(target: BonusDatabase, at: InLog) -> dict[str, int]:
    """Return changeset → the last row that the server does not wait for, whatever its place."""
    found = target.positions.lasts(at.position)
    if at.is_forked:
        above = target.receipts.received_above(at.position, at.place.number)
        for changeset, *_rest in above:
            found.setdefault(changeset, WHOLE)
    return found


def exceptions(target: BonusDatabase, at: InLog) -> dict[str, ReceivedOf]:
    """Return changeset → what was received of it, whatever the place, with rows and sums."""
    found = target.positions.all_exceptions(at.position)
    if at.is_forked:
        above = target.receipts.received_above(at.position, at.place.number)
        for changeset, rows, amount, when in above:
            found.setdefault(changeset, ReceivedOf(WHOLE, False, rows, amount, when))
    return found


def exceptions_of(
    target: BonusDatabase, at: InLog, changesets: Collection[str]
) -> dict[str, ReceivedOf]:
    """Return the same of these changesets alone. Sums are not known."""
    names = [*changesets]
    found = target.positions.exceptions_of(at.position, names)
    if at.is_forked:
        for name in target.receipts.named(at.position, names):
            found.setdefault(name, ReceivedOf(WHOLE, skipped=False))
    return found
