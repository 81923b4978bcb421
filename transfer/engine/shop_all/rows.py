"""The rows of changesets: what a chunk reads of them, within a snapshot of shop All."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.postgres.answer_size import LONG_LIST
from transfer.engine.postgres.database import Database, array
from transfer.engine.received import NOTHING
from transfer.engine.shop_all.log import BY_INDEX, Line

# Makes queries ask the summaries which pages may hold a value. Without it the planner would read
# all of a table, or walk through its order from the end.
BY_VALUE = """
    set local enable_bitmapscan = on; set local enable_seqscan = off;
    set local enable_indexscan = off; set local enable_indexonlyscan = off; set local jit = off
"""

# The rows of one changeset after some row. By the index on (xid, started, row), in its order.
ROWS_OF_ONE = """
    (select {number}::bigint as number, "row", {columns} from {staged}
      where xid = {xid}::xid8 and started = {started}::timestamptz and {after}
      order by "row" limit {most})
"""
# All rows of several changesets: those of the log between two numbers, without some. Lines by their
# primary key; the rows of each by that index.
ROWS_OF_SEVERAL = """
    (select log.number, ours."row", {columns}
       from datatransfer.log join {staged}
         on ours.xid = log.xid and ours.started = log.started
      where kind = {kind} and log.number between {first} and {last} and {among})
"""
# The same of lines that are not in the log, but in a dry run.
ROWS_OF_EXPECTED = """
    (select line.number, ours."row", {columns}
       from unnest({numbers}::bigint[], {xids}::text[]::xid8[], {started}::timestamptz[])
            as line (number, xid, started)
       join {staged} on ours.xid = line.xid and ours.started = line.started)
"""
# Rows, each with the code of the first check that it fails, or null; in the order of the key of the
# bonus server's index, since inserting into an index in random order takes most of a chunk's time.
# Sorts at most as many as a chunk has.
CHECKED = "select {columns}, {fault} as fault from {rows} as judged order by {order}"

# How many rows a changeset has in the table. By the index on (xid, started, row).
COUNT = "select count(*) from {table} where xid = {xid}::xid8 and started = {started}::timestamptz"

# Rows that are not in the table any more, as far as their names are known: the lines of loads, and
# rows that others depend on. By the primary keys, the index `dependent_root` and that on the names
# of rows.
GONE = """
    select named.changeset::text, named."row"
      from (select log.changeset, log.xid, log.started, place as "row"
              from datatransfer.log join datatransfer.load using (kind, changeset)
             cross join generate_series(1, log.rows) as place
             where log.kind = {kind} and log.number = any({numbers}::bigint[])
             union
            select log.changeset, log.xid, log.started, root_row
              from datatransfer.log join datatransfer.dependent
                on dependent.kind = log.kind and root_changeset = log.changeset
             where log.kind = {kind} and log.number = any({numbers}::bigint[])) as named
     where not exists (select from {staged}
                        where ours.xid = named.xid and ours.started = named.started
                          and ours."row" = named."row")
"""

# Rows of a chunk that depend on others, each with the numbers of the lines of these; null where the
# log lacks them. By the primary keys.
DEPENDENTS = """
    (select log.number, dependent."row", effect, of_changeset, of_row, root_changeset, root_row,
            first, root.number as root_number
       from datatransfer.log
       join datatransfer.dependent using (kind, changeset)
       left join datatransfer.log as root
         on root.kind = log.kind and root.changeset = root_changeset
      where log.kind = {kind} and log.depends and log.number = any({numbers}::bigint[])
        and {after} and dependent."row" <= {to})
"""
# The first line of some that depends on one before it among them, or on the same original as one
# before it. Lines by the index `log_depends`, the rest by the primary keys.
FIRST_TO_WAIT = """
    with depending as materialized (
        select log.number, of_changeset, root_changeset, root_row
          from datatransfer.log join datatransfer.dependent using (kind, changeset)
         where kind = %(kind)s and depends and log.number = any(%(numbers)s::bigint[])
    )
    select min(number) from (
        select number from (
            select number, min(number) over (partition by root_changeset, root_row) as earliest
              from depending) as same
         where earliest < number
        union all
        select depending.number
          from depending join datatransfer.log as original
            on original.kind = %(kind)s and original.changeset in (of_changeset, root_changeset)
         where original.number < depending.number and original.number >= %(first)s
    ) as waits
"""
# Whether one of these lines is withdrawn by now. By the primary key.
WITHDRAWN = """
    select exists (select from datatransfer.log
                    where kind = %s and number = any(%s::bigint[]) and withdrawn)
"""
# One row as JSON, secrets masked. By the index on (xid, started, row).
AS_JSON = """
    select {payload} from {staged}
     where (xid, started) = (select xid, started from datatransfer.log
                              where kind = {kind} and number = {number}) and "row" = {row}
"""


@dataclass(frozen=True)
class Reading:
    """The rows that a chunk reads: all of several lines, or the next rows of one.

    `lines` are in the order of their numbers. `last`: of a single line, the row after which to
    read.
    """

    lines: tuple[Line, ...]
    last: int = NOTHING

    @property
    def numbers(self) -> list[int]:
        return [line.number for line in self.lines]

    @property
    def depends(self) -> bool:
        return any(line.depends for line in self.lines)


class Rows:
    """Reads staged rows, within a snapshot of the database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def by_index(self) -> None:
        """Make queries walk the index until the transaction ends, whatever the statistics say."""
        self.database.execute(BY_INDEX)

    def by_value(self) -> None:
        """Make queries ask the summaries of pages until the transaction ends."""
        self.database.execute(BY_VALUE)

    def query(self, kind: Kind, reading: Reading, most: int) -> sql.Composed:
        """Return SQL of the rows, at most `most` of a single line: number, row, values, fault."""
        names = [*kind.names, *(["first"] if kind.appends else [])]
        columns = sql.SQL(", ").join(sql.Identifier("ours", name) for name in names)
        parts = {"columns": columns, "staged": kind.staged}
        if len(reading.lines) == 1:
            (line,) = reading.lines
            rows = sql.SQL(ROWS_OF_ONE).format(
                number=sql.Literal(line.number),
                xid=sql.Literal(line.xid),
                started=sql.Literal(line.started),
                after=_after(sql.Identifier("row"), reading.last),
                most=sql.Literal(most),
                **parts,
            )
        elif not reading.lines[-1].is_appended:
            rows = sql.SQL(ROWS_OF_EXPECTED).format(
                numbers=sql.Literal(array(reading.numbers)),
                xids=sql.Literal([line.xid for line in reading.lines]),
                started=sql.Literal([line.started for line in reading.lines]),
                **parts,
            )
        else:
            rows = sql.SQL(ROWS_OF_SEVERAL).format(
                kind=sql.Literal(kind.name),
                first=sql.Literal(reading.lines[0].number),
                last=sql.Literal(reading.lines[-1].number),
                among=_among(reading.numbers),
                **parts,
            )
        sent = sql.SQL(", ").join(map(sql.Identifier, ["number", "row", *names]))
        return sql.SQL(CHECKED).format(
            columns=sent, fault=sql.SQL(kind.fault), rows=rows, order=sql.SQL(kind.sending_order)
        )

    def dependents_query(self, kind: Kind, reading: Reading, last: int) -> sql.Composed:
        """Return the SQL of what the rows of these lines depend on, up to the row `last`."""
        return sql.SQL(DEPENDENTS).format(
            kind=sql.Literal(kind.name),
            numbers=sql.Literal(array(reading.numbers)),
            after=_after(sql.Identifier("dependent", "row"), reading.last),
            to=sql.Literal(last),
        )

    def first_to_wait(self, kind: Kind, lines: Sequence[Line]) -> int | None:
        """Return the number of the first line that has to wait for the others, or None.

        It depends on a row of one of the lines before it, or on the same original as one of these:
        its chunk comes after theirs, so that each original is decided before.
        """
        if len(lines) < 2 or not any(line.depends for line in lines):
            return None
        values = {
            "kind": kind.name,
            "numbers": array(line.number for line in lines),
            "first": lines[0].number,
        }
        number: int | None = self.database.value(FIRST_TO_WAIT, values)
        return number

    def are_withdrawn(self, kind: Kind, lines: Collection[Line]) -> bool:
        """Return whether one of these lines is withdrawn by now."""
        return bool(
            self.database.value(WITHDRAWN, [kind.name, array(line.number for line in lines)])
        )

    def count(self, kind: Kind, line: Line) -> int:
        """Return how many rows of the line are in the staging table."""
        query = sql.SQL(COUNT).format(
            table=kind.staging_table, xid=sql.Literal(line.xid), started=sql.Literal(line.started)
        )
        return int(self.database.value(query))

    def gone(self, kind: Kind, lines: Collection[Line]) -> list[tuple[str, int]]:
        """Return the names of rows of these lines that were deleted, as far as they are known."""
        if not lines:
            return []
        numbers = sql.Literal(array(line.number for line in lines))
        query = sql.SQL(GONE).format(
            kind=sql.Literal(kind.name), numbers=numbers, staged=kind.staged
        )
        return self.database.rows(query, most=LONG_LIST)

    def row_as_json(self, kind: Kind, number: int, row: int) -> str:
        """Return a staged row for a reject, secrets masked, in characters of any encoding."""
        query = sql.SQL(AS_JSON).format(
            payload=sql.SQL(kind.payload),
            staged=kind.staged,
            kind=sql.Literal(kind.name),
            number=sql.Literal(number),
            row=sql.Literal(row),
        )
        return json.dumps(self.database.value(query))


def _after(row: sql.Composable, last: int) -> sql.Composable:
    """Return the condition that a row comes after another: also the one with the lowest number."""
    if last == NOTHING:
        return sql.SQL("true")
    return sql.SQL("{} > {}").format(row, sql.Literal(last))


def _among(numbers: Sequence[int]) -> sql.Composable:
    """Return the condition that a line has one of these ascending numbers, in the shorter way."""
    others = {*range(numbers[0], numbers[-1] + 1)} - {*numbers}
    if len(others) <= len(numbers):
        return sql.SQL("log.number <> all({}::bigint[])").format(sql.Literal(array(sorted(others))))
    return sql.SQL("log.number = any({}::bigint[])").format(sql.Literal(array(numbers)))
