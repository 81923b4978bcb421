"""Counts over the log: what waits for a server, and what it must have read up to its position.

The sums stand in the lines, so nothing here reads a staging table but the few rows that have no
line yet, and changesets that a server has received in part.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property

from psycopg2 import sql

from transfer.causes.connections import ANSWER_INVALID
from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database, array
from transfer.engine.received import NOTHING, WHOLE, Place
from transfer.engine.shop_all.log import Line, Log
from transfer.engine.shop_all.log_writer import LogWriter
from transfer.errors import TransferError

# The sums up to a line. By the primary key.
SUMS_TO = "select rows_to, amount_to from datatransfer.log where kind = %s and number = %s"
# Of the lines above one: how many rows they have that somebody waits for, and when the first of
# these lines was staged of which a server needs rows: those but some changesets. Nobody waits for
# rows deleted by hand, and for withdrawn changesets. By the primary key, and the index
# `log_not_as_staged`.
ABOVE = """
    select {which},
           coalesce((select rows_to from datatransfer.log
                      where kind = {kind} order by number desc limit 1), 0)
           - coalesce((select rows_to from datatransfer.log
                        where kind = {kind} and number = {number}), 0)
           - (select coalesce(sum(case when withdrawn then rows else gone end), 0)
                from datatransfer.log
               where kind = {kind} and number > {number} and (gone > 0 or withdrawn)),
           (select started from datatransfer.log
             where kind = {kind} and number > {number} and not withdrawn and rows > gone
               and changeset <> all({received}::uuid[])
             order by number limit 1)
"""
# Rows that purges have removed above a line; and those that are staged. By the primary key.
PURGED_ABOVE = """
    select coalesce(sum(purged), 0) from datatransfer.log
     where kind = %s and number > %s and purged > 0 and not withdrawn
"""
# Rows of a changeset after some row. By the index on (xid, started, row).
COUNT_AFTER = """
    select {which}, count(*) from {staged}
     where xid = {xid}::xid8 and started = {started}::timestamptz and "row" > {last}
"""


@dataclass(frozen=True)
class Count:
    """Rows, and the sum of their finite amounts."""

    rows: int = 0
    amount: Decimal = Decimal(0)

    def __add__(self, other: "Count") -> "Count":
        return Count(self.rows + other.rows, self.amount + other.amount)

    def __sub__(self, other: "Count") -> "Count":
        return Count(self.rows - other.rows, self.amount - other.amount)


@dataclass(frozen=True)
class Waiting:
    """What a server has still to receive. `oldest`: when the first of it was staged."""

    rows: int
    oldest: datetime | None


@dataclass(frozen=True)
class Passed:
    """How far a server has passed the log: its place, and changeset → last row received, of all
    its exceptions; WHOLE also of a changeset that it does without for good.
    """

    place: Place = field(default_factory=Place)
    exceptions: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def above(self) -> tuple[int, str]:
        """What is asked of the lines above its place: the number, and the array of changesets that
        it has received. Equal for servers that are asked the same.
        """
        received = sorted(name for name, last in self.exceptions.items() if last == WHOLE)
        return self.place.number, array(received)


class Counts:
    """Counts what is in the log, within a snapshot of shop All."""

    def __init__(self, database: Database, log: Log, log_writer: LogWriter) -> None:
        self.database = database
        self.log = log
        self.log_writer = log_writer

    def waiting(self, kind: Kind, place: Place, exceptions: Mapping[str, int]) -> Waiting:
        """Return what a server waits for that has passed this place. See `waiting_of_each`."""
        (only,) = self.waiting_of_each(kind, [Passed(place, exceptions)])
        return only

    def waiting_of_each(self, kind: Kind, servers: Sequence[Passed]) -> list[Waiting]:
        """Return what each of these servers waits for, in their order.

        Adds rows that have no line yet to those of `waiting_in_log`. The number of queries does not
        depend on the number of servers.
        """
        if not servers:
            return []
        in_log = self._in_log(kind, servers)
        parts = Parts(self.database, kind)
        new = self.log_writer.not_appended(kind)
        for one in servers:
            for line in new:
                parts.want(line, one.exceptions.get(line.changeset, NOTHING))
        parts.count()
        return [
            self._with_new(parts, new, one, waiting)
            for one, waiting in zip(servers, in_log, strict=True)
        ]

    def _with_new(
        self, parts: "Parts", new: Sequence[Line], one: Passed, waiting: Waiting
    ) -> Waiting:
        """Return what is waited for, with the rows that have no line yet."""
        rows, oldest = waiting.rows, waiting.oldest
        for line in new:
            last = one.exceptions.get(line.changeset, NOTHING)
            needed = line.awaited - parts.received(line, last)
            rows += needed
            if needed and line.started and oldest is None:
                oldest = datetime.fromisoformat(line.started)
        return Waiting(rows, oldest)

    def waiting_in_log(self, kind: Kind, place: Place, exceptions: Mapping[str, int]) -> Waiting:
        """Return what a server that has passed this place waits for, of the rows that have a line.

        Adds: lines above the place; the rest of changesets that were received in part. Leaves out:
        what is withdrawn or was deleted by hand, and what the exceptions say. A place that is not
        in the log counts as if it were: see `in_log.py`.
        """
        (only,) = self._in_log(kind, [Passed(place, exceptions)])
        return only

    def _in_log(self, kind: Kind, servers: Sequence[Passed]) -> list[Waiting]:
        """Return the same of each server, in their order. Three queries at most.

        1. Counts the lines above each place, once for servers that have the same to count.
        2. Reads the lines of all exceptions.
        3. Counts what was received of changesets of which a part was received.
        """
        above = self._above(kind, servers)
        names = {name for one in servers for name in one.exceptions}
        lines = {line.changeset: line for line in self._lines_of(kind, names)}
        parts = Parts(self.database, kind)
        of_each = [
            [(lines[name], last) for name, last in one.exceptions.items() if name in lines]
            for one in servers
        ]
        for excepted in of_each:
            for line, last in excepted:
                parts.want(line, last)
        parts.count()
        return [
            _without_received(parts, one.place, counted, excepted)
            for one, counted, excepted in zip(servers, above, of_each, strict=True)
        ]

    def _above(self, kind: Kind, servers: Sequence[Passed]) -> list[tuple[int, datetime | None]]:
        """Return of each server the rows above its place, and when the first was staged."""
        asked = list(dict.fromkeys(one.above for one in servers))
        queries = [
            sql.SQL("({})").format(
                sql.SQL(ABOVE).format(
                    which=sql.Literal(which),
                    kind=sql.Literal(kind.name),
                    number=sql.Literal(number),
                    received=sql.Literal(received),
                )
            )
            for which, (number, received) in enumerate(asked)
        ]
        rows = self.database.rows(sql.SQL(" union all ").join(queries))
        found = {asked[which]: (int(count), oldest) for which, count, oldest in rows}
        return [found[one.above] for one in servers]

    def purged_above(self, kind: Kind, place: Place) -> int:
        """Return how many rows of lines above a place purges have removed."""
        return int(self.database.value(PURGED_ABOVE, [kind.name, place.number]))

    def read_up_to(self, kind: Kind, place: Place, exceptions: Mapping[str, Count | None]) -> Count:
        """Return what a server has read of the log, if its position is this place.

        Raises ANSWER_INVALID.

        `exceptions` is changeset → what was received of it, None for all. Everything up to the
        place counts, but for what the exceptions say, and what they say above it. What shop All has
        lost is not among it.
        """
        counted = self._sums_to(kind, place.number)
        for line in self._lines_of(kind, exceptions.keys()):
            whole = Count(line.rows, line.amount)
            received = exceptions[line.changeset]
            received = whole if received is None else received
            counted += received if line.number > place.number else received - whole
        return counted

    def _lines_of(self, kind: Kind, exceptions: Collection[str]) -> list[Line]:
        return self.log.lines_of(kind, [*exceptions]) if exceptions else []

    def _sums_to(self, kind: Kind, number: int) -> Count:
        for rows, amount in self.database.rows(SUMS_TO, [kind.name, number]):
            if not amount.is_finite():
                what = f"datatransfer.log, {kind.name}, {number}"
                raise TransferError(ANSWER_INVALID, party=self.database.party, what=what)
            return Count(int(rows), amount)
        return Count()


class Parts:
    """Counts which rows of changesets were received, of which a server has received a part.

    Say what is needed by `want`, then `count` all of it by one query.
    """

    def __init__(self, database: Database, kind: Kind) -> None:
        self.database = database
        self.kind = kind
        self._wanted: dict[tuple[str, int], Line] = {}
        self._received: dict[tuple[str, int], int] = {}

    def want(self, line: Line, last: int) -> None:
        """Note that somebody asks how many rows of the line were received up to the row `last`."""
        is_part = last not in (WHOLE, NOTHING) and not line.purged
        if is_part and line.awaited and not line.withdrawn:
            self._wanted[line.changeset, last] = line

    def count(self) -> None:
        """Count all that is wanted. One query; none where nothing is."""
        wanted = list(self._wanted.items())
        queries = [
            sql.SQL(COUNT_AFTER).format(
                which=sql.Literal(which),
                staged=self.kind.staged,
                xid=sql.Literal(line.xid),
                started=sql.Literal(line.started),
                last=sql.Literal(last),
            )
            for which, ((_changeset, last), line) in enumerate(wanted)
        ]
        rows = self.database.rows(sql.SQL(" union all ").join(queries)) if queries else []
        for which, after in rows:
            key, line = wanted[which]
            self._received[key] = line.awaited - int(after)

    def received(self, line: Line, last: int) -> int:
        """Return how many of the awaited rows of a line were received up to the row `last`."""
        return line.awaited if last == WHOLE else self._received.get((line.changeset, last), 0)


def _without_received(
    parts: Parts,
    place: Place,
    above: tuple[int, datetime | None],
    excepted: Iterable[tuple[Line, int]],
) -> Waiting:
    """Return what is waited for above a place, without what the exceptions say was received there,
    and with what they say is missing below.
    """
    rows, oldest = above
    for line, last in excepted:
        if line.withdrawn or line.awaited == 0:
            continue
        part = parts.received(line, last)
        if line.number > place.number:
            rows -= part
        elif last != WHOLE:
            rows += line.awaited - part
            if line.started:
                started = datetime.fromisoformat(line.started)
                oldest = min(started, oldest) if oldest else started
    return Waiting(max(0, rows), oldest if rows > 0 else None)
