"""Which lines and rows a chunk moves next, and what the server has received afterwards."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import uuid4

from transfer.causes.ledger import ROWS_PURGED
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.bonus_server.rejects import RowName
from transfer.engine.kind import Kind
from transfer.engine.received import NOTHING, WHOLE, Exceptions, Position, Totals
from transfer.engine.shop_all.log import Line
from transfer.engine.shop_all.rows import Reading
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import ServerUndecided

LINES = 50_000
"""The most lines that a chunk passes."""
LINES_AT_FIRST = 1_000
"""How many are read before it is known whether more fit into the chunk."""


class Forked(Exception):
    """The log lacks the position's last line: shop All was restored. See `fork.py`."""


@dataclass(frozen=True)
class ReceivedSoFar:
    """What a server has received, when a chunk begins.

    `expected`: in a dry run, the lines that follow the last one of the log.
    """

    position: Position
    exceptions: Exceptions
    expected: tuple[Line, ...] = ()

    @property
    def is_in_log(self) -> bool:
        """Whether the log can have the position's line; in a dry run it may be an expected one."""
        return not self.expected or self.position.place.number < self.expected[0].number


@dataclass(frozen=True)
class ChunkPlan:
    """What a chunk reads and passes. Made for one `version` of the position, and no other.

    `reading`: the rows; None where lines are passed of which nothing is needed.
    `passed`: the lines that the position passes, in order.
    `not_received`: changesets of passed lines that were withdrawn before the server read them.
    `said_rightly`: changesets whose exceptions "all" go, since the position says it by now.
    `with_gone`: lines of which rows were deleted by hand; `gone`: these rows, as far as their names
    are known.
    `version`: the one that the position gets with the chunk.
    `is_last`: with it the server has received all that is in the log.
    """

    kind: Kind
    server: str
    before: ReceivedSoFar
    reading: Reading | None
    passed: tuple[Line, ...]
    not_received: tuple[str, ...]
    said_rightly: tuple[str, ...]
    with_gone: tuple[Line, ...]
    gone: tuple[RowName, ...]
    rows: int
    version: str
    is_last: bool

    def may_be_cut(self) -> bool:
        """Return whether a changeset is read alone, and may have more rows than the chunk."""
        return (
            self.reading is not None
            and len(self.reading.lines) == 1
            and (self.reading.last != NOTHING or self.reading.lines[0].awaited > self.rows)
        )

    def read(self, rows: int, last: int | None) -> dict[str, int]:
        """Return changeset → last row received, after `rows` rows came, the last of them `last`."""
        if self.reading is None:
            return {}
        names = [line.changeset for line in self.reading.lines]
        if self.may_be_cut() and rows == self.rows and last is not None:
            return {names[0]: last}
        return dict.fromkeys(names, WHOLE)

    def after(self, rows: int, last: int | None) -> ReceivedSoFar:
        """Return what the server has received once these rows are committed, without totals."""
        place = self.passed[-1].place if self.passed else self.before.position.place
        return ReceivedSoFar(
            replace(self.before.position, place=place, version=self.version),
            self.before.exceptions.after(self.lasts(rows, last)),
            self.before.expected,
        )

    def lasts(self, rows: int, last: int | None) -> dict[str, int]:
        """Return changeset → last row received, of all that the chunk decides."""
        return {**dict.fromkeys(self.not_received, NOTHING), **self.read(rows, last)}

    def gone_totals(self, rows: int, last: int | None) -> Totals:
        """Return the rows deleted by hand of the lines that the chunk ends: they have no effect."""
        lasts = self.read(rows, last)
        ended = [line for line in self.with_gone if lasts.get(line.changeset, WHOLE) == WHOLE]
        return Totals(
            unchanged=sum(line.gone for line in ended),
            amount_rejected=sum((line.gone_amount for line in ended), Decimal(0)),
        )

    def gone_up_to(self, rows: int, last: int | None) -> list[RowName]:
        """Return the rows deleted by hand that the chunk passes."""
        lasts = self.read(rows, last)
        after = self.reading.last if self.reading else NOTHING
        return [one for one in self.gone if after < one.row <= lasts.get(one.changeset, WHOLE)]


def plan_chunk(
    kind: Kind, source: ShopAll, target: BonusDatabase, before: ReceivedSoFar, rows: int
) -> ChunkPlan | None:
    """Plan the next chunk of at most `rows` rows; None where there is nothing to read or to pass.

    The caller has a snapshot of shop All, in which the rows are read afterwards.

    1. Checks that the log is the one that the position is in.
    2. A changeset below the position that the server has received in part is read to its end.
    3. Else takes the next lines, up to the first one that does not fit, or has to wait for the
       others (see `Rows.first_to_wait`).

    Raises Forked; ROWS_PURGED where a needed row is purged.
    """
    position = before.position
    if before.is_in_log and not source.log.has(kind, position.place):
        raise Forked
    unfinished = _unfinished(kind, source, before)
    if unfinished is not None:
        line, last = unfinished
        _check_purged([line], target)
        reading: Reading | None = Reading((line,), last)
        return _plan(kind, source, target, before, reading, _Lines([], [line], {}), rows)
    lines = _next_lines(kind, source, target, before, rows)
    if not lines.window:
        return None
    stop = source.rows.first_to_wait(kind, lines.chosen)
    if stop is not None:
        lines = lines.before(stop)
    reading = Reading(tuple(lines.chosen), lines.last) if lines.chosen else None
    return _plan(kind, source, target, before, reading, lines, rows)


def _plan(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    before: ReceivedSoFar,
    reading: Reading | None,
    lines: "_Lines",
    rows: int,
) -> ChunkPlan:
    withdrawn = [
        line.changeset
        for line in lines.window
        if line.withdrawn and line.changeset not in lines.lasts
    ]
    named = [line.changeset for line in lines.window if lines.lasts.get(line.changeset) == WHOLE]
    with_gone = dict.fromkeys(
        line
        for line in (*lines.window, *lines.chosen)
        if line.gone and not line.withdrawn and lines.lasts.get(line.changeset) != WHOLE
    )
    return ChunkPlan(
        kind,
        target.name,
        before,
        reading,
        tuple(lines.window),
        tuple(withdrawn),
        tuple(named),
        tuple(with_gone),
        tuple(RowName(*name) for name in source.rows.gone(kind, with_gone)),
        rows,
        str(uuid4()),
        lines.are_last and (reading is None or sum(one.awaited for one in reading.lines) <= rows),
    )


def has_unfinished(kind: Kind, source: ShopAll, before: ReceivedSoFar) -> bool:
    """Return whether rows are needed of a line below the position."""
    return _unfinished(kind, source, before) is not None


def _unfinished(kind: Kind, source: ShopAll, before: ReceivedSoFar) -> tuple[Line, int] | None:
    """Return the first line below the position that needs rows, and the last row received."""
    incomplete = before.exceptions.incomplete
    if not incomplete:
        return None
    lines = source.log.lines_of(kind, [*incomplete])
    lines += [line for line in before.expected if line.changeset in incomplete]
    for line in lines:
        if line.number <= before.position.place.number and not line.withdrawn and line.awaited:
            return line, incomplete[line.changeset]
    return None


@dataclass(frozen=True)
class _Lines:
    """The lines that a chunk passes (`window`), and those of them that it reads (`chosen`).

    `lasts`: changeset → last row received, of those that have an exception; WHOLE of one that is
    skipped. `last`: that of a single chosen line. `are_last`: no line follows in the log.
    """

    window: list[Line]
    chosen: list[Line]
    lasts: dict[str, int]
    last: int = NOTHING
    are_last: bool = False

    def before(self, number: int) -> "_Lines":
        """Return those before this number."""
        return replace(
            self,
            window=[line for line in self.window if line.number < number],
            chosen=[line for line in self.chosen if line.number < number],
            are_last=False,
        )


def _next_lines(
    kind: Kind, source: ShopAll, target: BonusDatabase, before: ReceivedSoFar, most: int
) -> _Lines:
    """Choose among the next lines those whose rows fit into the chunk. Raises ROWS_PURGED."""
    window: list[Line] = []
    chosen: list[Line] = []
    lasts: dict[str, int] = {}
    size, page = 0, LINES_AT_FIRST
    while len(window) < LINES:
        after = window[-1].number if window else before.position.place.number
        lines = source.log.lines(kind, after, page)
        if len(lines) < page:
            lines += [line for line in before.expected if line.number > after][: page - len(lines)]
        lasts |= lasts_of(target, before, lines)
        purged = [line for line in lines if line.purged and is_needed(line, lasts)]
        for line in lines:
            if is_needed(line, lasts):
                last = lasts.get(line.changeset, NOTHING)
                if chosen and (size + line.awaited > most or last != NOTHING):
                    return _Lines(window, chosen, lasts)
                _check_purged(purged, target)
                chosen.append(line)
                size += line.awaited
                if last != NOTHING:
                    return _Lines([*window, line], chosen, lasts, last)
            window.append(line)
        if len(lines) < page:
            return _Lines(window, chosen, lasts, are_last=True)
        page = LINES - len(window)
    return _Lines(window, chosen, lasts)


def lasts_of(target: BonusDatabase, before: ReceivedSoFar, lines: Sequence[Line]) -> dict[str, int]:
    """Return changeset → last row, of those with an exception; WHOLE of one that is skipped."""
    if not before.exceptions.others:
        return dict(before.exceptions.incomplete)
    names = [line.changeset for line in lines]
    found = target.positions.exceptions_of(before.position, names)
    lasts = {name: WHOLE if one.skipped else one.last for name, one in found.items()}
    return {**lasts, **before.exceptions.incomplete}


def is_needed(line: Line, lasts: dict[str, int]) -> bool:
    """Return whether the server needs rows of a line above its position."""
    return not line.withdrawn and line.awaited > 0 and lasts.get(line.changeset) != WHOLE


def _check_purged(needed: Sequence[Line], target: BonusDatabase) -> None:
    """Raises ROWS_PURGED where rows are purged of lines that the server needs."""
    purged = [line for line in needed if line.purged]
    if purged:
        error = ServerUndecided(
            ROWS_PURGED, database=target.name, rows=sum(line.purged for line in purged)
        )
        error.changesets = tuple(line.changeset for line in purged)
        raise error
