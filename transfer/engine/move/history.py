"""Refuses a server that was restored to before lines whose lifetime has ended.

Which changesets these lines named is forgotten, so nobody can say which of their rows it lacks.
"""

from transfer.causes.ledger import HISTORY_TOO_OLD
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.received import NOTHING, Exceptions, Position
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import ServerUndecided


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
