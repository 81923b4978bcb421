"""A bonus server does without purged rows that it has not received, for good.

A server needs purged rows only where it was restored, or began late. The other answers are a
younger backup, or a copy of another server.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal
from uuid import uuid4

from transfer.causes.ledger import POSITION_MOVED, SKIP_OUTDATED
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.move.plan import ReceivedSoFar, is_needed, lasts_of
from transfer.engine.received import NOTHING, Position
from transfer.engine.shop_all.log import Line
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError

LINES = 10_000
"""Lines that are read at once."""


@dataclass(frozen=True)
class Lacking:
    """A changeset with purged rows that a server needs.

    `last`: the last row that it has received of it, NOTHING for none. `rows` and `amount` are those
    of the whole changeset; how many the server lacks is known only if it has received none.
    """

    changeset: str
    number: int
    started: str | None
    last: int
    rows: int
    amount: Decimal


def lacking(
    kind: Kind, source: ShopAll, target: BonusDatabase, position: Position
) -> Iterator[Lacking]:
    """Yield every changeset with purged rows that the server needs, in the order of the log.

    The position is in the log; the caller has a snapshot of shop All. (A fork comes first: see
    `move/fork.py`.)
    """
    state = ReceivedSoFar(position, target.positions.exceptions(position))
    incomplete = state.exceptions.incomplete
    for line in source.log.lines_of(kind, [*incomplete]) if incomplete else []:
        if line.number <= position.place.number and line.purged and is_needed(line, {}):
            yield _lacking(line, incomplete[line.changeset])
    after = position.place.number
    while lines := source.log.purged_lines(kind, after, LINES):
        lasts = lasts_of(target, state, lines)
        for line in lines:
            if is_needed(line, lasts):
                yield _lacking(line, lasts.get(line.changeset, NOTHING))
        after = lines[-1].number


def skip(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    origin: str,
    changesets: Collection[str],
) -> None:
    """Note that the server does without the rows of these changesets that it lacks, and commit.

    It is by changeset and for good: no restore of shop All brings them back there. Raises
    SKIP_OUTDATED unless all of them are on the list (`lacking`), AlreadyRunning, POSITION_MOVED.
    """
    with target.database.transaction(), source.snapshot():
        position = target.positions.lock(origin, kind)
        if position is None or not source.log.has(kind, position.place):
            raise TransferError(POSITION_MOVED)
        found = {one.changeset: one.last for one in lacking(kind, source, target, position)}
        strange = {*changesets} - found.keys()
        if strange:
            raise TransferError(SKIP_OUTDATED, database=target.name, changesets=len(strange))
        lasts = {name: found[name] for name in changesets}
        target.positions.set_exceptions(position, lasts, skipped=True)
        if not target.positions.touch(position, str(uuid4())):
            raise TransferError(POSITION_MOVED)


def _lacking(line: Line, last: int) -> Lacking:
    amount = line.amount - line.gone_amount
    return Lacking(line.changeset, line.number, line.started, last, line.awaited, amount)
