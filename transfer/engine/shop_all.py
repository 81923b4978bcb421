"""The door to the database of shop All: the staging tables, read by snapshots. No Django."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

from psycopg2 import sql

from transfer.engine.kinds import Kind
from transfer.engine.position import Position, batch, moved, waiting
from transfer.engine.postgres import COLUMNS, Database
from transfer.errors import FutureTransactions, NotInitialised, OriginChanged, WrongColumns

# Every process that removes staged rows, or begins a position, holds this lock of the staging
# database: a new position must know exactly what was removed before it.
PURGE_LOCK = 4_477_001

STAMP_TRIGGER = "datatransfer_stamp"


@dataclass(frozen=True)
class Staged:
    """What a staging table holds of a position's past."""

    rows: int
    amount: Decimal
    purged_rows: int
    purged_amount: Decimal


def quoted(kind: Kind) -> sql.Identifier:
    return sql.Identifier(kind.staging)


class ShopAll(Database):
    """Reads the staging tables. Never writes to them."""

    def __init__(
        self, dsn: str, purpose: str, *, secret: bool = False, seconds: float | None = None
    ) -> None:
        super().__init__(dsn, "shop All", purpose, secret=secret, seconds=seconds)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """A read-only transaction whose statements all see the same rows."""
        with self.explained():
            self.connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with self.transaction(commit=False):
            yield

    def current_snapshot(self) -> str:
        """The snapshot of the transaction under way, as text."""
        return str(self.one("select pg_current_snapshot()")[0])

    def origin(self) -> str:
        """The identity of this staging database. Raises NotInitialised."""
        if self.one("select to_regclass('datatransfer.origin')")[0] is None:
            raise NotInitialised(missing="datatransfer.origin")
        rows = self.rows("select origin from datatransfer.origin")
        if not rows:
            raise NotInitialised(missing="datatransfer.origin")
        return str(rows[0][0])

    def check_columns(self, kind: Kind) -> None:
        """Compares what is there with what binary COPY will be told.

        Raises NotInitialised when the table, a column or the trigger is missing, WrongColumns
        when a type differs.
        """
        found = {
            name: (type_, not_null)
            for name, type_, not_null, *_ in self.rows(COLUMNS, [f'"{kind.staging}"'])
        }
        if not found:
            raise NotInitialised(missing=f'"{kind.staging}"')
        expected = {column.name: column.types for column in kind.columns}
        expected |= {"id": frozenset({"bigint"}), "xid": frozenset({"xid8"})}
        for name in expected:
            if name not in found:
                raise NotInitialised(missing=f'"{kind.staging}".{name}')
        problems = [
            f"{name} {found[name][0]} ≠ {' / '.join(sorted(types))}"
            for name, types in expected.items()
            if found[name][0] not in types
        ]
        problems += [f"{name} null" for name in ("id", "xid") if not found[name][1]]
        if problems:
            raise WrongColumns(
                database=self.name, table=f'"{kind.staging}"', problems="; ".join(problems)
            )
        if not self.is_stamped(kind):
            raise NotInitialised(missing=f'trigger {STAMP_TRIGGER} on "{kind.staging}"')

    def is_stamped(self, kind: Kind) -> bool:
        """Whether the trigger is on without which a writer could choose `xid`."""
        (stamped,) = self.one(
            "select exists (select from pg_trigger where tgrelid = to_regclass(%s) "
            "and tgname = %s and tgenabled = 'A')",
            [f'"{kind.staging}"', STAMP_TRIGGER],
        )
        return bool(stamped)

    def check_position(self, kind: Kind, position: Position) -> None:
        """Whether the position can be of this database's past.

        Raises OriginChanged, or FutureTransactions when the table or the position knows
        transactions that the cluster has yet to reach: both would make rows be skipped.
        """
        if self.origin() != position.origin:
            raise OriginChanged
        table_ahead, position_ahead = self.one(
            sql.SQL(
                "select exists (select from {} where xid >= pg_snapshot_xmax(s)), "
                "pg_snapshot_xmax({}::pg_snapshot) > pg_snapshot_xmax(s) "
                "from pg_current_snapshot() as s"
            ).format(quoted(kind), sql.Literal(position.reading or position.read_through))
        )
        if table_ahead or position_ahead:
            where = f'"{kind.staging}"' if table_ahead else "datatransfer.position"
            raise FutureTransactions(where=where)

    def read_in_order(self) -> None:
        """Until the transaction ends, queries walk the index on (xid, id).

        Without statistics the planner would sort the whole rest of a batch for every chunk.
        """
        self.execute(
            "set local enable_sort = off; set local enable_seqscan = off; "
            "set local enable_bitmapscan = off; set local max_parallel_workers_per_gather = 0"
        )

    def chunk_query(self, kind: Kind, position: Position, reading: str, rows: int) -> sql.Composed:
        """The next `rows` rows of the batch `reading`."""
        return sql.SQL(
            "select xid, id, {columns} from {table} where {batch} order by xid, id limit {rows}"
        ).format(
            columns=sql.SQL(", ").join(sql.Identifier(column.name) for column in kind.columns),
            table=quoted(kind),
            batch=batch(position, reading),
            rows=sql.Literal(rows),
        )

    def count_waiting(self, kind: Kind, position: Position) -> int:
        """Committed rows that have not been moved."""
        query = sql.SQL("select count(*) from {} where {}").format(quoted(kind), waiting(position))
        return int(self.one(query)[0])

    def staged(self, kind: Kind, position: Position) -> Staged:
        """Rows and finite amounts up to the position, and those removed since it began."""
        query = sql.SQL("select count(*), coalesce(sum({}), 0) from {} where {}").format(
            sql.SQL(kind.amount), quoted(kind), moved(position)
        )
        rows, amount = self.one(query)
        purged_rows, purged_amount = self.purged(kind)
        return Staged(
            int(rows),
            amount,
            purged_rows - position.purged_rows,
            purged_amount - position.purged_amount,
        )

    def purged(self, kind: Kind) -> tuple[int, Decimal]:
        """Rows and finite amounts ever removed from the table by us."""
        found = self.rows(
            "select rows, amount from datatransfer.purged where kind = %s", [kind.name]
        )
        return found[0] if found else (0, Decimal(0))

    def hold_off_purge(self) -> None:
        """Until the transaction ends, nobody removes staged rows."""
        self.one("select pg_advisory_xact_lock_shared(%s)", [PURGE_LOCK])
