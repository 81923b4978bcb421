"""Counts over the log: what waits for a server, and what it must have read up to its position.

The sums stand in the lines, so nothing here reads a staging table but the few rows that have no
line yet, and changesets that a server has received in part.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from psycopg2 import sql

from transfer.causes.connections import ANSWER_INVALID
from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database
from transfer.engine.received import NOTHING, WHOLE, Place
from transfer.engine.shop_all.log import Line, Log
from transfer.errors import TransferError

# The sums up to a line. By the primary key.
SUMS_TO = "select rows_to, amount_to from datatransfer.log where kind = %s and number = %s"
# Of the lines above one: how many rows they have that somebody waits for, and when the first of
# these lines was staged of which a server needs rows: those but some changesets. Nobody waits for
# rows deleted by hand, and for withdrawn changesets. By the primary key, and the index
# `log_not_as_staged`.
ABOVE = """
    select coalesce((select rows_to from datatransfer.log
                      where kind = %(kind)s order by number desc limit 1), 0)
           - coalesce((select rows_to from datatransfer.log
                        where kind = %(kind)s and number = %(number)s), 0)
           - (select coalesce(sum(case when withdrawn then rows else gone end), 0)
                from datatransfer.log
               where kind = %(kind)s and number > %(number)s and (gone > 0 or withdrawn)),
           (select started from datatransfer.log
             where kind = %(kind)s and number > %(number)s and not withdrawn and rows > gone
               and changeset <> all(%(received)s::uuid[])
             order by number limit 1)
"""
# Rows that purges have removed above a line; and those that are staged. By the primary key.
PURGED_ABOVE = """
    select coalesce(sum(purged), 0) from datatransfer.log
     where kind = %s and number > %s and purged > 0 and not withdrawn
"""
# Rows of a changeset after some row. By the index on (xid, started, row).
COUNT_AFTER = """
    select count(*) from {staged}
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


class Counts:
    """Counts what is in the log, within a snapshot of shop All.

    `exceptions` is changeset → last row received, of all exceptions of the server; WHOLE also of a
    changeset that it does without for good.
    """

    def __init__(self, database: Database, log: Log) -> None:
        self.database = database
        self.log = log

    def waiting(self, kind: Kind, place: Place, exceptions: Mapping[str, int]) -> Waiting:
        """Return what a server waits for that has passed this place.

        Adds rows that have no line yet to those of `waiting_in_log`.
        """
        waiting = self.waiting_in_log(kind, place, exceptions)
        rows, oldest = waiting.rows, waiting.oldest
        for line in self.log.not_appended(kind):
            last = exceptions.get(line.changeset, NOTHING)
            needed = line.awaited - self._received_part(kind, line, last)
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
        received = [name for name, last in exceptions.items() if last == WHOLE]
        values = {"kind": kind.name, "number": place.number, "received": received}
        above, oldest = self.database.only_row(ABOVE, values)
        rows = int(above)
        for line in self._lines_of(kind, exceptions):
            last = exceptions[line.changeset]
            if line.withdrawn or line.awaited == 0:
                continue
            part = self._received_part(kind, line, last)
            if line.number > place.number:
                rows -= part
            elif last != WHOLE:
                rows += line.awaited - part
                if line.started:
                    started = datetime.fromisoformat(line.started)
                    oldest = min(started, oldest) if oldest else started
        return Waiting(max(0, rows), oldest if rows > 0 else None)

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
        for line in self._lines_of(kind, exceptions):
            whole = Count(line.rows, line.amount)
            received = exceptions[line.changeset]
            received = whole if received is None else received
            counted += received if line.number > place.number else received - whole
        return counted

    def _lines_of(self, kind: Kind, exceptions: Mapping[str, object]) -> list[Line]:
        names: Collection[str] = exceptions.keys()
        return self.log.lines_of(kind, [*names]) if names else []

    def _received_part(self, kind: Kind, line: Line, last: int) -> int:
        """Return how many of the awaited rows of a line were received up to the row `last`."""
        if last == WHOLE:
            return line.awaited
        if last == NOTHING or line.purged:
            return 0
        query = sql.SQL(COUNT_AFTER).format(
            staged=kind.staged,
            xid=sql.Literal(line.xid),
            started=sql.Literal(line.started),
            last=sql.Literal(last),
        )
        return line.awaited - int(self.database.value(query))

    def _sums_to(self, kind: Kind, number: int) -> Count:
        for rows, amount in self.database.rows(SUMS_TO, [kind.name, number]):
            if not amount.is_finite():
                what = f"datatransfer.log, {kind.name}, {number}"
                raise TransferError(ANSWER_INVALID, party=self.database.party, what=what)
            return Count(int(rows), amount)
        return Count()
