"""The door to a bonus server's database: its tables, and our position beside them. No Django."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from psycopg2 import errors

from transfer.engine.kinds import Column, Kind
from transfer.engine.position import Position, Totals
from transfer.engine.postgres import COLUMNS, Database
from transfer.errors import AlreadyRunning, NoRightForSchema, TargetTableMissing, WrongColumns

SCHEMA = """\
create schema if not exists datatransfer;
create table if not exists datatransfer.position (
    origin uuid not null,
    kind text not null,
    read_through pg_snapshot not null,
    reading pg_snapshot,
    last_xid xid8,
    last_id bigint,
    rows_applied bigint not null default 0,
    rows_unchanged bigint not null default 0,
    rows_rejected bigint not null default 0,
    amount_applied numeric not null default 0,
    amount_rejected numeric not null default 0,
    purged_rows bigint not null default 0,
    purged_amount numeric not null default 0,
    updated_at timestamptz not null default now(),
    primary key (origin, kind)
);
"""

FIELDS = (
    "origin, kind, read_through, reading, last_xid, last_id, rows_applied, rows_unchanged, "
    "rows_rejected, amount_applied, amount_rejected, purged_rows, purged_amount"
)

ADVANCE = """
    update datatransfer.position
       set read_through = %s::pg_snapshot, reading = %s::pg_snapshot, last_xid = %s::xid8,
           last_id = %s, rows_applied = rows_applied + %s, rows_unchanged = rows_unchanged + %s,
           rows_rejected = rows_rejected + %s, amount_applied = amount_applied + %s,
           amount_rejected = amount_rejected + %s, updated_at = now()
     where origin = %s and kind = %s
       and read_through::text = %s and reading::text is not distinct from %s
       and last_xid::text is not distinct from %s and last_id is not distinct from %s
"""

# The locker of a row is its xmax; who that is stands in pg_stat_activity.
HOLDER = """
    select a.application_name, a.pid, a.client_addr, a.xact_start
      from datatransfer.position as p
      join pg_stat_activity as a on a.backend_xid::text = p.xmax::text
     where p.origin = %s and p.kind = %s
"""


class BonusDatabase(Database):
    def ensure_schema(self) -> None:
        """Creates our schema where it is missing; the caller commits.

        Raises NoRightForSchema with the SQL to run.
        """
        if self.one("select to_regclass('datatransfer.position')")[0] is not None:
            return
        with self.explained(), self.connection.cursor() as cursor:
            try:
                # Two first runs at once would both create it.
                cursor.execute("select pg_advisory_xact_lock(hashtext('datatransfer'))")
                cursor.execute(SCHEMA)
            except errors.InsufficientPrivilege:
                self.connection.rollback()
                raise NoRightForSchema(
                    database=self.name, statements=SCHEMA + self._grants()
                ) from None

    def _grants(self) -> str:
        user = self.one("select quote_ident(current_user)")[0]
        return (
            f"grant usage on schema datatransfer to {user};\n"
            f"grant select, insert, update on datatransfer.position to {user};"
        )

    def check_columns(self, kind: Kind) -> None:
        """Whether what passes the checks fits into the bonus server's table.

        Raises TargetTableMissing or WrongColumns.
        """
        found = {
            name: (type_, declared, modifier)
            for name, type_, _, declared, modifier in self.rows(COLUMNS, [f'"{kind.target}"'])
        }
        if not found:
            raise TargetTableMissing(database=self.name, table=f'"{kind.target}"')
        problems = [
            f"{column.name} {found[column.name][1]} ≠ {column.created_as}"
            if column.name in found
            else f"{column.name} –"
            for column in kind.columns
            if column.name not in found
            or not holds(column, found[column.name][0], found[column.name][2])
        ]
        if problems:
            raise WrongColumns(
                database=self.name, table=f'"{kind.target}"', problems="; ".join(problems)
            )

    def begin_position(self, position: Position) -> None:
        """Writes the first position of a staging database, if there is none yet."""
        totals = position.totals
        self.execute(
            f"insert into datatransfer.position ({FIELDS}) "
            "values (%s, %s, %s::pg_snapshot, %s::pg_snapshot, %s::xid8, %s, %s, %s, %s, %s, %s, "
            "%s, %s) on conflict do nothing",
            [
                position.origin,
                position.kind,
                position.read_through,
                position.reading,
                _xid(position.last_xid),
                position.last_id,
                totals.applied,
                totals.unchanged,
                totals.rejected,
                totals.amount_applied,
                totals.amount_rejected,
                position.purged_rows,
                position.purged_amount,
            ],
        )

    def position(self, origin: str, kind: Kind, *, wait: bool = False) -> Position | None:
        """The position; with `wait` after whoever is moving it has ended."""
        lock = " for update" if wait else ""
        rows = self.rows(
            f"select {FIELDS} from datatransfer.position where origin = %s and kind = %s{lock}",
            [origin, kind.name],
        )
        return _position(rows[0]) if rows else None

    def existing_position(self, origin: str, kind: Kind) -> Position | None:
        """The position, where even our schema may be missing; in a transaction of its own."""
        with self.transaction(commit=False):
            if self.one("select to_regclass('datatransfer.position')")[0] is None:
                return None
            return self.position(origin, kind)

    def lock_position(self, origin: str, kind: Kind) -> Position:
        """The position, locked until the transaction ends. Raises AlreadyRunning."""
        with self.explained(), self.connection.cursor() as cursor:
            try:
                cursor.execute(
                    f"select {FIELDS} from datatransfer.position "
                    "where origin = %s and kind = %s for update nowait",
                    [origin, kind.name],
                )
                (row,) = cursor.fetchall()
            except errors.LockNotAvailable:
                self.connection.rollback()
                raise AlreadyRunning(holder=self._holder(origin, kind)) from None
        return _position(row)

    def _holder(self, origin: str, kind: Kind) -> str:
        rows = self.rows(HOLDER, [origin, kind.name])
        if not rows:
            return "?"
        application, pid, address, since = rows[0]
        where = f"{address}, " if address else ""
        return f"{application} ({where}pid {pid}, {since:%H:%M:%S} UTC)"

    def advance(self, before: Position, after: Position) -> bool:
        """Compare-and-set: moves the position if it still is `before`."""
        gained = after.totals - before.totals
        return (
            self.execute(
                ADVANCE,
                [
                    after.read_through,
                    after.reading,
                    _xid(after.last_xid),
                    after.last_id,
                    gained.applied,
                    gained.unchanged,
                    gained.rejected,
                    gained.amount_applied,
                    gained.amount_rejected,
                    before.origin,
                    before.kind,
                    before.read_through,
                    before.reading,
                    _xid(before.last_xid),
                    before.last_id,
                ],
            )
            == 1
        )

    def stream(self, query: str, batch: int = 2000) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, a batch in memory at a time."""
        with self.explained(), self.connection.cursor("dtadmin_stream") as cursor:
            cursor.itersize = batch
            cursor.execute(query)
            yield from cursor


def holds(column: Column, type_: str, modifier: int) -> bool:
    """Whether a column of this type can hold every value that passes the checks."""
    if type_ not in column.types:
        return False
    if type_ == "character varying":
        return modifier == -1 or modifier - 4 >= 100
    if type_ == "numeric" and modifier != -1:
        # numeric(precision, scale) as PostgreSQL packs it (numeric.c, make_numeric_typmod).
        precision, scale = (modifier - 4) >> 16, (modifier - 4) & 0x7FF
        return scale >= 2 and precision - scale >= 13
    return True


def _xid(value: int | None) -> str | None:
    return None if value is None else str(value)


def _position(row: tuple[Any, ...]) -> Position:
    origin, kind, read_through, reading, last_xid, last_id, *totals = row
    applied, unchanged, rejected, amount_applied, amount_rejected, purged, purged_amount = totals
    return Position(
        origin=str(origin),
        kind=kind,
        read_through=read_through,
        reading=reading,
        last_xid=None if last_xid is None else int(last_xid),
        last_id=last_id,
        totals=Totals(
            applied, unchanged, rejected, Decimal(amount_applied), Decimal(amount_rejected)
        ),
        purged_rows=purged,
        purged_amount=purged_amount,
    )
