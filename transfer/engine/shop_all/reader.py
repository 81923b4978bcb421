"""The staging tables of shop All, read by snapshots."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import Any

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.position import MOST_ROWS, Position, batch, moved, waiting
from transfer.engine.postgres.answer_size import LONG_LIST
from transfer.engine.postgres.database import Database
from transfer.errors import AnswerInvalid

# Ends two limits of the session until the transaction ends: those of a statement's time and of the
# time until the other side reads.
WAIT = "set local statement_timeout = 0; set local tcp_user_timeout = 0"
# Lets queries read by an index in its order until the transaction ends.
READ_IN_ORDER = """
    set local enable_sort = off; set local enable_seqscan = off; set local enable_bitmapscan = off;
    set local max_parallel_workers_per_gather = 0; set local jit = off
"""
# Lets queries read by the summaries of pages until the transaction ends.
READ_BY_VALUE = """
    set local enable_bitmapscan = on; set local enable_seqscan = off;
    set local enable_indexscan = off; set local enable_indexonlyscan = off; set local jit = off
"""
# The snapshot of the transaction, as text.
SNAPSHOT = "select pg_current_snapshot()"

# Keeps tables from being rewritten or emptied at once. Takes no snapshot. Writers go on.
LOCK_TABLES = "lock table {tables} in access share mode"

# The next rows of one range of a batch (position.py: `batch`). By the index on (xid, id), in its
# order.
ROWS_OF_RANGE = "(select {columns} from {staged} where {range} order by xid, id limit {rows})"
# The next rows of several ranges.
ROWS_OF_RANGES = "(select * from ({ranges}) as rows order by xid, id limit {rows})"
# Rows, each with the code of the first check that it fails, or null.
CHECKED = "select *, {fault} as fault from {rows} as rows"

# Whether a row of a range exists. By the index on (xid, id).
HAS_ROW = "exists (select from {table} where {range})"
# How many rows of a range exist. By the index on (xid, id), if they are a small part of the table.
COUNT_ROWS = "(select count(*) from {table} where {range})"

# When the first row of a range was staged. By the index on (xid, id), in its order.
FIRST_STAGED_AT = "(select created_at from {table} where {range} order by xid, id limit 1)"
# How long ago the oldest of these times is, in seconds, by the clock of shop All.
SECONDS_SINCE = """
    select extract(epoch from clock_timestamp() - min(created_at))::double precision
      from ({firsts}) as first where isfinite(created_at)
"""

# How many rows fulfil conditions, and the sum of their finite amounts. Reads the table.
COUNT = "select count(*), coalesce(sum({amount}), 0) from {staged} where {conditions}"

# Rows and finite amounts that purges have removed of a kind. By the primary key.
PURGED = "select rows, amount from datatransfer.purged where kind = %s"

# Which of these numbers staged rows have. By the summary of `id` (indexes.py).
WITH_NUMBERS = "select id from {table} where id = any(%s)"

# One row as JSON, secrets masked. By the index on (xid, id).
AS_JSON = "select {payload} from {staged} where xid = {xid}::xid8 and id = {id}"


@dataclass(frozen=True)
class Staged:
    """What a staging table holds of a position's past."""

    rows: int
    amount: Decimal
    purged_rows: int
    purged_amount: Decimal


class Reader:
    """Reads the staging tables, within a snapshot of the database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def lock_statement(self, kinds: Collection[Kind]) -> str:
        """SQL that keeps the staging tables from being rewritten until the transaction ends.

        Comes before the first query of a snapshot, which is then younger than what it waited for.
        """
        tables = sql.SQL(", ").join(kind.staging_table for kind in kinds)
        return sql.SQL(LOCK_TABLES).format(tables=tables).as_string(self.database.connection)

    def wait_for_reader(self) -> None:
        """Lets the session wait, until the transaction ends, for the rows that it sends to be read.

        A chunk begun ahead waits as long as the bonus server needs for the chunk before it. None of
        the session's own limits may end it meanwhile, or the next chunk would fail as shop All's
        fault.
        """
        # Our own deadline stays: it does not count the time that the session waits for our pipe.
        self.database.execute(WAIT)
        self.database.may_wait()

    def current_snapshot(self) -> str:
        """The snapshot of the transaction under way, as text."""
        return str(self.database.value(SNAPSHOT))

    def running(self) -> list[int]:
        """The transactions that had not ended when the snapshot was taken."""
        _, _, running = self.current_snapshot().split(":")
        return [int(xid) for xid in running.split(",") if xid]

    def read_in_order(self) -> None:
        """Makes queries walk the index on (xid, id) until the transaction ends.

        Without statistics the planner would sort the whole rest of a batch for every chunk.
        """
        self.database.execute(READ_IN_ORDER)

    def read_by_value(self) -> None:
        """Makes queries ask the summaries which pages may hold a value, until the transaction ends.

        Without it the planner would read all of a table, or walk through its order from the end.
        """
        self.database.execute(READ_BY_VALUE)

    def chunk_query(self, kind: Kind, position: Position, reading: str, rows: int) -> sql.Composed:
        """The next `rows` rows of the batch `reading`, each with the code of a check it fails."""
        columns = sql.SQL(", ").join(map(sql.Identifier, ["xid", "id", *kind.names]))
        most, staged = sql.Literal(rows), kind.staged
        of_range = sql.SQL(ROWS_OF_RANGE)
        ranges = [
            of_range.format(columns=columns, staged=staged, range=range_, rows=most)
            for range_ in batch(position, reading)
        ]
        chunk = ranges[0]
        if len(ranges) > 1:
            joined = sql.SQL(" union all ").join(ranges)
            chunk = sql.SQL(ROWS_OF_RANGES).format(ranges=joined, rows=most)
        return sql.SQL(CHECKED).format(fault=sql.SQL(kind.fault), rows=chunk)

    def is_waiting(self, kind: Kind, position: Position) -> bool:
        """Whether a committed row has not been moved."""
        return bool(self._waiting(kind, position, HAS_ROW, " or "))

    def count_waiting(self, kind: Kind, position: Position) -> int:
        """Counts committed rows that have not been moved."""
        return int(self._waiting(kind, position, COUNT_ROWS, " + "))

    def _waiting(self, kind: Kind, position: Position, asked: str, between: str) -> Any:
        table = kind.staging_table
        parts = [sql.SQL(asked).format(table=table, range=range_) for range_ in waiting(position)]
        return self.database.value(sql.SQL("select ") + sql.SQL(between).join(parts))

    def seconds_since_staged(self, kind: Kind, before: Position, reading: str) -> float | None:
        """How long ago the first rows were staged that follow the position in the batch `reading`.

        The first of each range; the oldest of them counts. `created_at` is when a row's transaction
        began, unless its writer says otherwise. None where no time is known. The caller has said
        `read_in_order`.
        """
        first = sql.SQL(FIRST_STAGED_AT)
        ranges = [
            first.format(table=kind.staging_table, range=range_)
            for range_ in batch(before, reading)
        ]
        firsts = sql.SQL(" union all ").join(ranges)
        seconds = self.database.value(sql.SQL(SECONDS_SINCE).format(firsts=firsts))
        return seconds if isinstance(seconds, float) and isfinite(seconds) else None

    def staged(self, kind: Kind, position: Position) -> Staged:
        """Counts rows and finite amounts up to the position, and those removed since it began.

        Reads the whole table.
        """
        query = sql.SQL(COUNT).format(
            amount=sql.SQL(kind.amount), staged=kind.staged, conditions=moved(position)
        )
        rows, amount = self.database.one(query)
        purged_rows, purged_amount = self.purged(kind)
        return Staged(
            int(rows),
            amount,
            purged_rows - position.purged_rows,
            purged_amount - position.purged_amount,
        )

    def purged(self, kind: Kind) -> tuple[int, Decimal]:
        """Rows and finite amounts ever removed from the table by us.

        A new position counts from them. Raises AnswerInvalid where no purge can have written them.
        """
        for rows, amount in self.database.rows(PURGED, [kind.name]):
            is_count = isinstance(rows, int) and 0 <= rows <= MOST_ROWS
            if not (is_count and isinstance(amount, Decimal) and amount.is_finite()):
                raise AnswerInvalid(
                    party=self.database.party, what=f"datatransfer.purged, {kind.name}"
                )
            return rows, amount
        return 0, Decimal(0)

    def missing(self, kind: Kind, numbers: list[int]) -> list[int]:
        """Those of these numbers that no staged row has."""
        self.read_by_value()
        query = sql.SQL(WITH_NUMBERS).format(table=kind.staging_table)
        found = {number for (number,) in self.database.rows(query, [numbers], most=LONG_LIST)}
        return [number for number in numbers if number not in found]

    def row_as_json(self, kind: Kind, xid: str, id_: int) -> str:
        """A staged row for a reject, secrets masked, in characters that any encoding has."""
        query = sql.SQL(AS_JSON).format(
            payload=sql.SQL(kind.payload),
            staged=kind.staged,
            xid=sql.Literal(xid),
            id=sql.Literal(id_),
        )
        return json.dumps(self.database.value(query))
