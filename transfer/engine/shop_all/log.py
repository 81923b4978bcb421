"""The log of shop All: the changesets of each kind, numbered in the order in which they appear.

Lines are only ever added (`log_writer.py`), all of an append in one transaction and with the same
random mark. So a database that has these lines also has all rows that the append saw. If two logs
have the same mark at a number, they are equal up to there, even if one was restored in between.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

from psycopg2 import sql

from transfer.causes.connections import ANSWER_INVALID
from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database, array
from transfer.engine.received import MOST_ROWS, NO_CHANGESET, NO_MARK, Place, Receipt, is_uuid
from transfer.errors import TransferError

# Makes queries walk the index on (xid, started, row), and look each of its changesets up by another
# one, whatever the statistics say. An analysis beside the first large append calls the log empty:
# the planner would keep all of it, and compare each changeset with each line.
BY_INDEX = """
    set local enable_seqscan = off; set local enable_bitmapscan = off;
    set local enable_hashjoin = off; set local enable_mergejoin = off; set local enable_sort = off;
    set local enable_material = off;
    set local max_parallel_workers_per_gather = 0; set local jit = off
"""
# The last line whose lifetime has ended. By the primary key.
REMOVED = "select removed from datatransfer.head where kind = %s limit 2"
# The first line from this one on. By the primary key.
FROM = """
    select number, mark::text from datatransfer.log where kind = %s and number >= %s
     order by number limit 1
"""
# What the present statement sees. As long as it is the same, no transaction that wrote has ended.
SNAPSHOT = "select pg_current_snapshot()::text"
# Whether the log has this mark at this number. By the primary key.
HAS_PLACE = "select true from datatransfer.log where kind = %s and number = %s and mark = %s::uuid"
# Which of these places the log of their kind lacks. By the primary key.
LACKS_PLACES = """
    select which
      from unnest(%s::text[], %s::bigint[], %s::uuid[]) with ordinality
           as asked (kind, number, mark, which)
     where not exists (select from datatransfer.log
                        where log.kind = asked.kind and log.number = asked.number
                          and log.mark = asked.mark)
"""
# The last line. By the primary key.
END = """
    select number, mark::text from datatransfer.log where kind = %s order by number desc limit 1
"""
# The last line of each of these kinds. By the primary key.
ENDS = """
    select kind, number, mark::text
      from unnest(%s::text[]) as asked (kind) cross join lateral (
           select number, mark from datatransfer.log where log.kind = asked.kind
            order by number desc limit 1) as line
"""
# The next lines. By the primary key.
LINES = """
    select number, mark::text, changeset::text, xid::text, started::text, rows, amount, gone,
           gone_amount, purged, withdrawn, depends,
           (select number from datatransfer.head where kind = %s) as last_number
      from datatransfer.log where kind = %s and number > %s order by number limit %s
"""
# The next lines with purged rows. By the primary key.
PURGED_LINES = """
    select number, mark::text, changeset::text, xid::text, started::text, rows, amount, gone,
           gone_amount, purged, withdrawn, depends
      from datatransfer.log where kind = %s and number > %s and purged > 0 order by number limit %s
"""
# The lines of changesets. By the unique key.
OF_CHANGESETS = """
    select number, mark::text, changeset::text, xid::text, started::text, rows, amount, gone,
           gone_amount, purged, withdrawn, depends
      from datatransfer.log where kind = %s and changeset = any(%s::uuid[]) order by number
"""
# The last line by which this installation has confirmed the database. By the index `log_confirmed`.
CONFIRMED = """
    select coalesce(max(number), 0) from datatransfer.log
     where kind = %s and confirmed_by = %s::uuid
"""
# Which of these changesets the log lacks. By the unique key.
LACKS = """
    select name::text from unnest(%s::uuid[]) as name
     where not exists (select from datatransfer.log where kind = %s and changeset = name)
"""
# The last of these places that is in the log. By the primary key, from the last on.
LAST_COMMON = """
    select number, mark::text
      from unnest(%s::bigint[], %s::uuid[]) as receipt (number, mark)
     where exists (select from datatransfer.log
                    where kind = %s and log.number = receipt.number and log.mark = receipt.mark)
     order by number desc limit 1
"""


class Line(NamedTuple):
    """A line of the log: a changeset, or, without rows, an answer of an installation.

    Made in half the time of a dataclass: a chunk may have 50,000.
    """

    number: int
    mark: str
    changeset: str
    xid: str | None
    started: str | None
    rows: int
    amount: Decimal
    gone: int
    gone_amount: Decimal
    purged: int
    withdrawn: bool
    depends: bool

    @property
    def is_appended(self) -> bool:
        """Whether it is in the log, and not only what a dry run expects there."""
        return self.mark != NO_MARK

    @property
    def place(self) -> Place:
        return Place(self.number, self.mark)

    @property
    def awaited(self) -> int:
        """How many of its rows a server that has none of them is sent."""
        return self.rows - self.gone


def receipts_of(lines: Iterable[Line]) -> Iterator[Receipt]:
    """Yield the receipts of a server that has passed these lines, which are in order.

    A line without rows has no changeset there, so nobody is asked about it when a restore loses it.
    """
    for mark, group in groupby(lines, key=lambda line: line.mark):
        same = [*group]
        yield Receipt(
            same[-1].number,
            mark,
            [line.changeset if line.rows else NO_CHANGESET for line in same],
            [line.rows for line in same],
            [line.amount for line in same],
        )


class Log:
    """Reads the log of shop All, within a snapshot of the caller's."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def snapshot(self) -> str:
        """Return a text that is the same as before if nothing was committed in between."""
        return str(self.database.value(SNAPSHOT))

    def has(self, kind: Kind, place: Place) -> bool:
        """Return whether the log is the same as that of the place, up to there."""
        return place.is_begin or bool(
            self.database.rows(HAS_PLACE, [kind.name, place.number, place.mark])
        )

    def lacks_places(self, places: Iterable[tuple[str, Place]]) -> set[tuple[str, Place]]:
        """Return those of these places, each with the name of its kind, that the log of the kind
        lacks: it is another one. One query.

        The names need not be those of kinds that are ours now.
        """
        some = [(kind, place) for kind, place in places if not place.is_begin]
        kinds = [kind for kind, _place in some]
        numbers = [place.number for _kind, place in some]
        marks = [place.mark for _kind, place in some]
        rows = self.database.rows(LACKS_PLACES, [kinds, numbers, marks]) if some else []
        return {some[which - 1] for (which,) in rows}

    def count_staged(self, kind: Kind) -> int:
        """Return how many rows the staging table has. Reads its index."""
        return int(
            self.database.value(sql.SQL("select count(*) from {}").format(kind.staging_table))
        )

    def end(self, kind: Kind) -> Place:
        """Return the place of the last line."""
        for number, mark in self.database.rows(END, [kind.name]):
            return Place(number, mark)
        return Place()

    def ends(self, kinds: Iterable[Kind]) -> dict[str, Place]:
        """Return the name of each of these kinds → the place of its last line. One query."""
        names = [kind.name for kind in kinds]
        found = {
            name: Place(number, mark) for name, number, mark in self.database.rows(ENDS, [names])
        }
        return {name: found.get(name, Place()) for name in names}

    def lines(self, kind: Kind, after: int, most: int) -> list[Line]:
        """Return the lines that follow the number `after`. Raises ANSWER_INVALID."""
        rows = self.database.rows(LINES, [kind.name, kind.name, after, most])
        for row in rows[-1:]:
            if row[-1] is None or row[0] > row[-1]:  # later appends would add lines before it
                raise invalid(self.database, f"datatransfer.log, {kind.name}, {row[0]}")
        return [self._checked(kind, Line(*row[:-1])) for row in rows]

    def purged_lines(self, kind: Kind, after: int, most: int) -> list[Line]:
        """Return the lines with purged rows after the number `after`. Raises ANSWER_INVALID."""
        rows = self.database.rows(PURGED_LINES, [kind.name, after, most])
        return [self._checked(kind, Line(*row)) for row in rows]

    def lines_of(self, kind: Kind, changesets: Sequence[str]) -> list[Line]:
        """Return the lines of these changesets, in the order of their numbers."""
        rows = self.database.rows(OF_CHANGESETS, [kind.name, array(changesets)])
        return [self._checked(kind, Line(*row)) for row in rows]

    def _checked(self, kind: Kind, line: Line) -> Line:
        """Return the line. Raises ANSWER_INVALID where no append can have written it."""
        is_possible = (
            0 < line.number <= MOST_ROWS
            and is_uuid(line.mark)
            and is_uuid(line.changeset)
            and 0 <= line.gone + line.purged <= line.rows <= MOST_ROWS
            and min(line.gone, line.purged) >= 0
            and (line.xid is None) == (line.started is None)
            and (line.rows > 0) == (line.xid is not None)
            and _is_time(line.started)
            and line.amount.is_finite()
            and line.gone_amount.is_finite()
        )
        if not is_possible:
            raise invalid(self.database, f"datatransfer.log, {kind.name}, {line.number}")
        return line

    def confirmed(self, kind: Kind, installation: str) -> int:
        """Return the number of the last line by which the installation has said yes, or 0."""
        return int(self.database.value(CONFIRMED, [kind.name, installation]))

    def removed(self, kind: Kind) -> int:
        """Return the number of the last line whose lifetime has ended, or 0: see `lifetime.py`."""
        return int(self.database.value(REMOVED, [kind.name]))

    def floor(self, kind: Kind) -> Place:
        """Return the place up to which lines may have gone; the beginning where none has."""
        removed = self.removed(kind)
        if removed:
            for number, mark in self.database.rows(FROM, [kind.name, removed]):
                return Place(number, mark)
        return Place()

    def lacks(self, kind: Kind, changesets: Sequence[str]) -> list[str]:
        """Return those of these changesets that are not in the log."""
        return [name for (name,) in self.database.rows(LACKS, [array(changesets), kind.name])]

    def last_common(self, kind: Kind, places: Sequence[Place]) -> Place | None:
        """Return the last of these places that the log has, or None."""
        if not places:
            return None
        numbers = [place.number for place in places]
        marks = [place.mark for place in places]
        for number, mark in self.database.rows(LAST_COMMON, [numbers, marks, kind.name]):
            return Place(number, mark)
        return Place() if any(place.is_begin for place in places) else None


def invalid(database: Database, what: str) -> TransferError:
    """Return the error that a log is not one that an append can have written."""
    return TransferError(ANSWER_INVALID, party=database.party, what=what)


def _is_time(text: str | None) -> bool:
    try:
        return text is None or datetime.fromisoformat(text).tzinfo is not None
    except (ValueError, TypeError):
        return False
