"""The rejects in a bonus server's database: rows that it has received and whose outcome is not in
the vendor's tables.

A reject is open until people have decided (`resolved_by` is null), or closed: by the changeset that
corrects the row or takes it back, or by DISCARDED. They change in the transactions that change the
vendor's tables, while the position is locked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from transfer.engine.bonus_server.reject_reading import READ, Reject, read_rejects
from transfer.engine.kind import Kind
from transfer.engine.postgres.answer_size import LONG_LIST
from transfer.engine.postgres.database import Database
from transfer.engine.received import DISCARDED, Position

# Writes the rejects of a chunk: the rows of `incoming` with a fault. The changesets come from the
# lines of the chunk.
ADD = """
    insert into datatransfer.reject (origin, kind, changeset, "row", code, sqlstate,
                                     constraint_name, payload, changed_in)
    select %(origin)s, %(kind)s, line.changeset, incoming."row", fault, sqlstate, constraint_name,
           coalesce(as_json, {payload}), %(version)s
      from pg_temp.incoming join pg_temp.line using (number)
     where fault is not null and fault <> 'known'
        on conflict do nothing
"""
# Notes rows that nobody waits for any more, since they were deleted by hand: a later row that
# depends on one of them is not applied.
ADD_GONE = """
    insert into datatransfer.reject (origin, kind, changeset, "row", code, resolved_by, changed_in)
    select %s, %s, changeset, "row", 'gone', %s, %s
      from unnest(%s::uuid[], %s::bigint[]) as gone (changeset, "row")
        on conflict do nothing
"""
# The open rejects among these, closed as discarded. By the primary key.
DISCARD = """
    update datatransfer.reject set resolved_by = %s, changed_in = %s
      from unnest(%s::uuid[], %s::bigint[]) as chosen (changeset, "row")
     where reject.origin = %s and reject.kind = %s and reject.changeset = chosen.changeset
       and reject."row" = chosen."row" and resolved_by is null
"""
# Forgets the rejects and the amounts in effect. By the primary keys.
FORGET = """
    with gone as (delete from datatransfer.reject where origin = %(origin)s and kind = %(kind)s)
    delete from datatransfer.seen where origin = %(origin)s and kind = %(kind)s
"""
# Those that people see: without closed rejects of rows that never had an open one. By the index on
# what a version has changed.
CHANGED_IN = (
    READ + " where origin = %s and kind = %s and changed_in = %s"
    " and (resolved_by is null or payload is not null)"
)
# By the index on open ones.
OPEN = READ + " where origin = %s and kind = %s and resolved_by is null"
# By the primary key.
NAMED = (
    READ
    + """
      join unnest(%s::uuid[], %s::bigint[]) as chosen (changeset, "row")
        on chosen.changeset = reject.changeset and chosen."row" = reject."row"
     where origin = %s and kind = %s
"""
)
# The rows of a changeset that have a reject. By the primary key.
OF_CHANGESET = """
    select "row" from datatransfer.reject where origin = %s and kind = %s and changeset = %s::uuid
"""
COUNT_OPEN_OF = """
    select count(*) from datatransfer.reject
     where origin = %s and kind = %s and changeset = %s::uuid and resolved_by is null
"""
COUNT = """
    select count(*), count(*) filter (where resolved_by is null)
      from datatransfer.reject where origin = %s and kind = %s
"""


@dataclass(frozen=True)
class RowName:
    """The name of a staged row, the same in every database."""

    changeset: str
    row: int


class Rejects:
    """Writes and reads the rejects of positions."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, kind: Kind, position: Position, version: str) -> None:
        """Write the rejects of the chunk in `incoming`, whose lines are in `line`."""
        values = {"origin": position.origin, "kind": kind.name, "version": version}
        self.database.execute(ADD.format(payload=kind.payload), values)

    def add_gone(self, position: Position, version: str, rows: Sequence[RowName]) -> None:
        """Note these rows as closed: they were deleted by hand."""
        if rows:
            values = [position.origin, position.kind, DISCARDED, version, *_columns(rows)]
            self.database.execute(ADD_GONE, values)

    def discard(self, position: Position, version: str, rows: Sequence[RowName]) -> int:
        """Close those of these rejects that are open, as discarded; return how many."""
        values = [DISCARDED, version, *_columns(rows), position.origin, position.kind]
        return self.database.execute(DISCARD, values)

    def forget(self, position: Position) -> None:
        """Remove all rejects, and which amounts are in effect: the vendor's tables are new."""
        self.database.execute(FORGET, {"origin": position.origin, "kind": position.kind})

    def changed_in(self, kind: Kind, position: Position, version: str) -> Iterator[Reject]:
        """Yield the rejects, open now or before, that the transaction with this version changed."""
        return self._read(CHANGED_IN, kind, [position.origin, kind.name, version])

    def open(self, kind: Kind, origin: str) -> Iterator[Reject]:
        """Yield the open rejects. Raises REJECTS_UNREADABLE."""
        return self._read(OPEN, kind, [origin, kind.name])

    def named(self, kind: Kind, origin: str, rows: Sequence[RowName]) -> Iterator[Reject]:
        """Yield those of these rejects that exist."""
        return self._read(NAMED, kind, [*_columns(rows), origin, kind.name])

    def of_changeset(self, kind: Kind, origin: str, changeset: str) -> set[int]:
        """Return the rows of a changeset that have a reject, open or closed."""
        rows = self.database.rows(OF_CHANGESET, [origin, kind.name, changeset], most=LONG_LIST)
        return {row for (row,) in rows}

    def count_open_of(self, kind: Kind, origin: str, changeset: str) -> int:
        """Return how many rows of a changeset have an open reject."""
        return int(self.database.value(COUNT_OPEN_OF, [origin, kind.name, changeset]))

    def count(self, kind: Kind, origin: str) -> tuple[int, int]:
        """Return how many rejects there are, and how many of them are open."""
        total, open_ = self.database.only_row(COUNT, [origin, kind.name])
        return int(total), int(open_)

    def _read(self, statement: str, kind: Kind, values: list[Any]) -> Iterator[Reject]:
        rows = self.database.stream("rejects", statement, values)
        return read_rejects(rows, kind, self.database.name)


def _columns(rows: Sequence[RowName]) -> tuple[list[str], list[int]]:
    return [one.changeset for one in rows], [one.row for one in rows]
