"""The door to the database of shop All: the staging tables, read by snapshots. No Django."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Self

import psycopg2
from psycopg2 import errors, sql

from transfer.engine.errors import NotInitialised, NumberUsedTwice
from transfer.engine.kinds import Kind
from transfer.engine.position import Position, batch, moved, waiting
from transfer.engine.shop_all.identity import Identity
from transfer.errors import TransferError

# Every process that removes staged rows, or begins a position, holds this lock of the staging
# database: a new position must know exactly what was removed before it.
PURGE_LOCK = 4_477_001

NOTES = """
    select exists (
        select from datatransfer.resent
         where origin = %s and kind = %s and old_id between %s and %s)
"""
# A row that was staged after another of its number had been corrected is not that one.
NAMESAKES = """
    select row.id from datatransfer.resent as note
      join unnest(%s::bigint[], %s::text[]::xid8[]) as row (id, xid)
        on note.old_id = row.id and note.new_xid < row.xid
     where note.origin = %s and note.kind = %s limit 1
"""


@dataclass(frozen=True)
class Counted:
    """Rows up to a position and their finite amounts, each row looked at; and what had been purged.

    Unless rows are removed, there are as many later: only those that came since need be counted.
    """

    at: datetime
    position: Position
    rows: int
    amount: Decimal
    purged: tuple[int, Decimal]

    def as_json(self) -> dict[str, Any]:
        """Numbers of any size as text."""
        numbers = map(str, (self.rows, self.amount, *self.purged))
        return {"at": self.at.isoformat(), "position": self.position.as_json()} | dict(
            zip(("rows", "amount", "purged_rows", "purged_amount"), numbers, strict=True)
        )

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        return cls(
            datetime.fromisoformat(fields["at"]),
            Position.from_json(fields["position"]),
            int(fields["rows"]),
            Decimal(fields["amount"]),
            (int(fields["purged_rows"]), Decimal(fields["purged_amount"])),
        )


@dataclass(frozen=True)
class Staged:
    """What a staging table holds of a position's past."""

    rows: int
    amount: Decimal
    purged_rows: int
    purged_amount: Decimal
    counted: Counted  # what it relies on


class ShopAll(Identity):
    """Reads the staging tables, and writes nothing but the log of batches."""

    def __init__(
        self, dsn: str, purpose: str, *, secret: bool = False, seconds: float | None = None
    ) -> None:
        super().__init__(dsn, "shop All", purpose, secret=secret, seconds=seconds)

    def another(self) -> "ShopAll":
        """Another connection to the same database, opened at first use."""
        return ShopAll(self.dsn, self.purpose, secret=self.secret, seconds=self.seconds)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """A read-only transaction whose statements all see the same rows."""
        with self.explained():
            self.connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with self.transaction(commit=False):
            # A policy that would hide rows is an error: hidden rows would count as moved.
            self.execute("set local row_security = off")
            yield

    def wait_for_reader(self) -> None:
        """Lets the session wait, until the transaction ends, for the rows that it sends to be read.

        A chunk begun ahead waits as long as the bonus server needs for the chunk before it. None of
        the session's own limits may end it meanwhile, or the next chunk would fail as shop All's
        fault.
        """
        self.execute(
            "set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0; "
            "set local tcp_user_timeout = 0"
        )

    def hold(self, kind: Kind) -> None:
        """Keeps the table from being written anew (by a rebase) until the transaction ends.

        Comes before the first query of a snapshot, which is then younger than what it waited for.
        """
        self.execute(sql.SQL("lock table {} in access share mode").format(kind.staging_table))

    def _ours(self, error: psycopg2.Error) -> TransferError:
        """What others ask of a database that was never initialised is no fault of the query."""
        if isinstance(error, errors.UndefinedTable | errors.UndefinedColumn):
            quoted = re.search('["«]([^"«»]+)["»]', error.diag.message_primary or "")
            return NotInitialised(missing=f'"{quoted[1]}"' if quoted else "datatransfer")
        return super()._ours(error)

    def current_snapshot(self) -> str:
        """The snapshot of the transaction under way, as text."""
        return str(self.value("select pg_current_snapshot()"))

    def notes_sources(self) -> bool:
        """Whether it notes where rows come from: not yet where a former version made our tables."""
        return bool(self.value("select to_regclass('datatransfer.writer') is not null"))

    def read_in_order(self) -> None:
        """Makes queries walk the index on (xid, id) until the transaction ends.

        Without statistics the planner would sort the whole rest of a batch for every chunk.
        """
        self.execute(
            "set local enable_sort = off; set local enable_seqscan = off; "
            "set local enable_bitmapscan = off; set local max_parallel_workers_per_gather = 0; "
            "set local jit = off"
        )

    def read_by_value(self) -> None:
        """Makes queries ask the summaries which pages may hold a value, until the transaction ends.

        Without it the planner would read all of a table, or walk through its order from the end.
        """
        self.execute(
            "set local enable_seqscan = off; set local enable_indexscan = off; "
            "set local enable_indexonlyscan = off; set local jit = off"
        )

    def chunk_query(self, kind: Kind, position: Position, reading: str, rows: int) -> sql.Composed:
        """The next `rows` rows of the batch `reading`, each with the code of a check it fails."""
        names = sql.SQL(", ").join(map(sql.Identifier, ["xid", "id", *kind.names]))
        part = sql.SQL("(select {} from {} where {} order by xid, id limit {})")
        parts = [
            part.format(names, kind.staged, range_, sql.Literal(rows))
            for range_ in batch(position, reading)
        ]
        chunk = parts[0]
        if len(parts) > 1:
            chunk = sql.SQL("(select * from ({}) as rows order by xid, id limit {})").format(
                sql.SQL(" union all ").join(parts), sql.Literal(rows)
            )
        return sql.SQL("select *, {} as fault from {} as rows").format(sql.SQL(kind.fault), chunk)

    def replacing(self, kind: Kind, first: int, last: int) -> list[tuple[str, int, list[str], int]]:
        """Rows of these transactions that are only for servers which have rejected another.

        As (xid, id) and the number of the other, under each of its origins.
        """
        return self.rows(
            "select new_xid::text, new_id, array_agg(origin::text), old_id from datatransfer.resent"
            " where where_rejected and kind = %s and new_xid between %s and %s"
            " group by new_xid, new_id, old_id",
            [kind.name, str(first), str(last)],
        )

    def has_notes(self, kind: Kind, origin: str, first: int, last: int) -> bool:
        """Whether a row with a number between these is noted as corrected."""
        with self.snapshot():
            return bool(self.value(NOTES, [origin, kind.name, first, last]))

    def check_numbers(self, kind: Kind, origin: str, rejected: list[tuple[int, str]]) -> None:
        """Raises NumberUsedTwice: a note about another row would close one of these rejects."""
        ids, xids = [*zip(*rejected, strict=True)]
        with self.snapshot():
            for (number,) in self.rows(NAMESAKES, [[*ids], [*xids], origin, kind.name]):
                raise NumberUsedTwice(number=number, table=f'"{kind.staging}"')

    def is_waiting(self, kind: Kind, position: Position) -> bool:
        """Whether a committed row has not been moved."""
        return bool(self._waiting(kind, position, "exists (select from {} where {})", " or "))

    def count_waiting(self, kind: Kind, position: Position) -> int:
        """Counts committed rows that have not been moved."""
        return int(self._waiting(kind, position, "(select count(*) from {} where {})", " + "))

    def _waiting(self, kind: Kind, position: Position, asked: str, between: str) -> Any:
        parts = [sql.SQL(asked).format(kind.staging_table, range_) for range_ in waiting(position)]
        return self.value(sql.SQL("select {}").format(sql.SQL(between).join(parts)))

    def staged(self, kind: Kind, position: Position, known: Counted | None = None) -> Staged:
        """Rows and finite amounts up to the position, and those removed since it began.

        What was `known` is not counted again, unless the position went back or rows were purged.
        """
        purged = self.purged(kind)
        if known and known.purged == purged and known.position.is_within(position):
            self.read_in_order()
            ranges = waiting(known.position)
            parts = [self._count(kind, position, [range_]) for range_ in ranges]
        else:
            known = Counted(datetime.now(UTC), position, *self._count(kind, position, []), purged)
            parts = []
        return Staged(
            known.rows + sum(rows for rows, _ in parts),
            known.amount + sum((amount for _, amount in parts), Decimal()),
            purged[0] - position.purged_rows,
            purged[1] - position.purged_amount,
            known,
        )

    def _count(
        self, kind: Kind, position: Position, also: list[sql.Composable]
    ) -> tuple[int, Decimal]:
        """Rows and finite amounts of what has moved, as far as these conditions are true."""
        query = sql.SQL("select count(*), coalesce(sum({}), 0) from {} where {}").format(
            sql.SQL(kind.amount), kind.staged, sql.SQL(" and ").join([*also, moved(position)])
        )
        rows, amount = self.one(query)
        return int(rows), amount

    def purged(self, kind: Kind) -> tuple[int, Decimal]:
        """Rows and finite amounts ever removed from the table by us."""
        query = "select rows, amount from datatransfer.purged where kind = %s"
        rows = self.rows(query, [kind.name])
        return rows[0] if rows else (0, Decimal(0))

    @contextmanager
    def purge_held_off(self) -> Iterator[None]:
        """Keeps others from removing staged rows meanwhile, and waits for those who do so now."""
        with self.transaction(commit=False):
            self.one("select pg_advisory_lock_shared(%s)", [PURGE_LOCK])
        try:
            yield
        finally:
            with self.transaction(commit=False):
                self.one("select pg_advisory_unlock_shared(%s)", [PURGE_LOCK])

    def row_as_json(self, kind: Kind, xid: str, id_: int) -> str:
        """A staged row for a reject, secrets masked, in characters that any encoding has."""
        query = sql.SQL("select {} from {} where xid = {}::xid8 and id = {}").format(
            sql.SQL(kind.payload), kind.staged, sql.Literal(xid), sql.Literal(id_)
        )
        return json.dumps(self.value(query))
