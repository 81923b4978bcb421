"""What shop All has lost by a restore, and the answer that it is the right database.

What is lost is a query, and not an event: it can be asked at any time, and a run that dies loses
nothing of it. Our own history knows the last place that it has seen of each log, and the loads that
it believes in. Each bonus server knows which changesets it has received.

The answer is a line without rows in each log, which names the installation. It counts for that
installation, and for forks below it. It can neither lose nor double a row: it keeps a test copy of
shop All from being taken for the real one.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import islice

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.received import Place, Position
from transfer.engine.shop_all.source import ShopAll

AT_ONCE = 10_000
"""Changesets that shop All is asked about at once."""
LISTED = 1000
"""Lost changesets that a page shows."""


@dataclass(frozen=True)
class Lost:
    """A changeset that a bonus server has received, at least in part, and that the log lacks.

    `rows` and `amount` are those of the whole changeset, None where they are not known any more: it
    was lost by an earlier restore, and had been received in part. Of a kind without amounts,
    `amount` is None. `at`: when it was received.
    """

    server: str
    changeset: str
    rows: int | None
    amount: Decimal | None
    at: datetime | None


@dataclass
class LostOfKind:
    """What the log of a kind lacks, counted once, whichever servers have it.

    `seen` is the last place that our own history knows and `end` that of the log, where the log
    lacks the former: nobody knows what was between but never received. `servers`: name → how many
    lost changesets it has. `listed`: the first ones, with the names of the servers that have them.
    `amount` is None where no amount is known.
    """

    seen: Place | None = None
    end: Place | None = None
    changesets: int = 0
    rows: int = 0
    amount: Decimal | None = None
    first: datetime | None = None
    last: datetime | None = None
    servers: dict[str, int] = field(default_factory=dict)
    listed: dict[str, tuple[Lost, list[str]]] = field(default_factory=dict)

    @property
    def is_something(self) -> bool:
        return self.seen is not None or self.changesets > 0

    def add(self, lost: Iterable[Lost], known: set[str]) -> None:
        """Count what a server has. `known` are the changesets that were counted before."""
        for one in lost:
            self.servers[one.server] = self.servers.get(one.server, 0) + 1
            if one.changeset in self.listed:
                self.listed[one.changeset][1].append(one.server)
            if one.changeset in known:
                continue
            known.add(one.changeset)
            self.changesets += 1
            self.rows += one.rows or 0
            if one.amount is not None:
                self.amount = (self.amount or Decimal(0)) + one.amount
            if one.at is not None:
                self.first = min(one.at, self.first or one.at)
                self.last = max(one.at, self.last or one.at)
            if len(self.listed) < LISTED:
                self.listed[one.changeset] = (one, [one.server])


def lost_places(
    kinds: Collection[Kind], source: ShopAll, origin: str, seen: Mapping[tuple[str, str], Place]
) -> dict[str, LostOfKind]:
    """Return kind → where our own history has been further than the log, of the kinds that lack it.

    `seen` is that of `Knowledge`. The caller has a snapshot of shop All.
    """
    found: dict[str, LostOfKind] = {}
    for kind in kinds:
        place = seen.get((origin, kind.name))
        if place is not None and not source.log.has(kind, place):
            found[kind.name] = LostOfKind(place, source.log.end(kind))
    return found


def lost_changesets(
    kind: Kind, source: ShopAll, target: BonusDatabase, origin: str
) -> Iterator[Lost]:
    """Yield what a bonus server has received of a kind and the log lacks, as a stream.

    The caller has a snapshot of shop All and a transaction of the server. Nothing is locked or
    changed: a position that is not in the log is read as if it had gone back to the fork.

    1. The changesets of receipts above the fork, but those of which no row was received.
    2. The changesets of exceptions: received above an earlier fork.
    """
    position = target.positions.get(origin, kind)
    if position is None:
        return
    received = _received(kind, source, target, position)
    while some := [*islice(received, AT_ONCE)]:
        lacking = {*source.log.lacks(kind, [one.changeset for one in some])}
        yield from (one for one in some if one.changeset in lacking)


def _received(
    kind: Kind, source: ShopAll, target: BonusDatabase, position: Position
) -> Iterator[Lost]:
    number = position.place.number
    if not source.log.has(kind, position.place):
        fork = source.log.last_common(kind, target.positions.places(position))
        number = fork.number if fork is not None else -1
    for changeset, rows, amount, at in target.receipts.received_above(position, number):
        yield Lost(target.name, changeset, rows, amount if kind.appends else None, at)


def lost_undos(source: ShopAll, taken_back: Collection[str]) -> list[str]:
    """Return those of these loads that shop All has, and whose undo it lacks.

    `taken_back` are the loads that our own history knows as taken back. A load that shop All lacks,
    too, is not among them: it has no rows there.
    """
    names = {load: source.names.of_undo(load) for load in taken_back}
    known = source.loads.named([*names, *names.values()]).keys()
    return [load for load, undo in names.items() if load in known and undo not in known]


UndoAgain = Callable[[Kind, Sequence[str]], None]
"""Takes loads of a kind back once more, each in a transaction of its own, as `undo_again` does."""


def confirm(
    source: ShopAll,
    kinds: Sequence[Kind],
    installation: str,
    taken_back: Mapping[str, Collection[str]],
    undo_again: UndoAgain,
) -> dict[str, Place]:
    """Say that this is the right shop All; return kind → the place that our history has now seen.

    `taken_back` is kind → loads that our own history knows as taken back.

    1. Adds a line without rows to the log of each kind, in one transaction.
    2. Stages the undos again that shop All has lost.

    A process that dies in between has confirmed, and has not staged all undos. What is left is
    found by `lost_undos` at any time: `stage_undos_again` of the next run, or the answer given once
    more, stages it. An undo that is there is not staged twice.
    """
    with source.database.transaction():
        for kind in sorted(kinds, key=lambda one: one.name):  # always in the same order
            source.log_writer.confirm(kind, installation)
    stage_undos_again(source, kinds, taken_back, undo_again)
    with source.snapshot():
        return {kind.name: source.log.end(kind) for kind in kinds}


def stage_undos_again(
    source: ShopAll,
    kinds: Sequence[Kind],
    taken_back: Mapping[str, Collection[str]],
    undo_again: UndoAgain,
) -> dict[str, list[str]]:
    """Stage the undos that shop All has lost while it has the load; return kind → these loads."""
    staged: dict[str, list[str]] = {}
    for kind in kinds:
        with source.snapshot():
            loads = lost_undos(source, taken_back.get(kind.name, ()))
        if loads:
            undo_again(kind, loads)
            staged[kind.name] = loads
    return staged
