"""Checks both sides: what a look for rows relies on, and what rows rely on that move."""

from uuid import uuid4

from transfer.causes.ledger import BEGINNING_UNDECIDED
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.events import refusals_told
from transfer.engine.kind import Kind
from transfer.engine.knowledge import Knowledge
from transfer.engine.received import BEFORE_THE_FIRST_LINE, Beginning, Place, Position
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import ServerUndecided


def prepare(
    kind: Kind, source: ShopAll, target: BonusDatabase, knowledge: Knowledge, *, dry_run: bool
) -> Position:
    """Check both sides, and return the position from which a transfer goes on.

    1. Checks our schema on the bonus server; creates it where it is missing.
    2. Checks the staging table, and that shop All is the database that our own history knows.
    3. Adds to its log what was staged since (not in a dry run).
    4. Finds the position. There it begins one only where every answer is the same: nothing was ever
       staged.

    What only rows rely on that move is checked where some do: see `check_before_rows`. Most looks
    find none, and it takes most of their time.

    Raises ShopAllWentBack, BEGINNING_UNDECIDED, COPY_OF, and what the checks raise.
    """
    with refusals_told(kind.name, target.database.party):
        return _prepare(kind, source, target, knowledge, dry_run=dry_run)


def _prepare(
    kind: Kind, source: ShopAll, target: BonusDatabase, knowledge: Knowledge, *, dry_run: bool
) -> Position:
    target.ensure_schema()
    with source.snapshot():
        source.identity.check_staging(kind)
        source.identity.check_types(kind)
        origin = source.identity.origin()
        knowledge.check_shop_all(source, origin)
    if not dry_run:
        source.log_writer.append(kind)
    position = target.positions.get(origin, kind)
    if position is None:
        position = _begin(kind, source, target, origin, knowledge.server)
    knowledge.check_server(position, target.name, kind)
    if not dry_run:
        target.database.commit()
    return position


def check_before_rows(kind: Kind, source: ShopAll, target: BonusDatabase) -> None:
    """Check what is needed to move rows, and not to find that there are none.

    1. The vendor's table, and our rights to it.
    2. What gives staged rows their names. Without it, a look still finds each row that has a name
       of its own, whatever the name: columns without null are checked before.

    Raises what `check_columns` and `check_rights` of the vendor's tables, and `check_naming` of
    the staging table raise.
    """
    target.tables.check_columns(kind)
    target.tables.check_rights(kind)
    with source.snapshot():
        source.identity.check_naming(kind)


def _begin(
    kind: Kind, source: ShopAll, target: BonusDatabase, origin: str, server: str
) -> Position:
    """Begin a position where nothing was ever staged. Raises BEGINNING_UNDECIDED elsewhere.

    Whoever is asked is told first what keeps rows from moving at all.
    """
    check_before_rows(kind, source, target)
    with source.snapshot(kind):
        rows = source.log.count_staged(kind)
        if rows or not source.log.end(kind).is_begin:
            raise ServerUndecided(
                BEGINNING_UNDECIDED,
                database=target.name,
                kind=kind.name,
                table=kind.quoted_target,
                rows=rows,
                held=target.tables.count_rows(kind),
            )
    place = Place()
    position = Position(origin, kind.name, server, place, str(uuid4()), beginning=Beginning())
    target.positions.begin(position)
    target.positions.add_receipts(position, [BEFORE_THE_FIRST_LINE])
    return position
