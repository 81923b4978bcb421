"""The staging tables of shop All, read by snapshots."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Self

from psycopg2 import sql

from transfer.engine.kinds import Kind
from transfer.engine.position import Position, batch, moved, waiting
from transfer.engine.postgres.database import Database


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


class Reader:
    """Reads the staging tables, within a snapshot of the database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def lock_table(self, kind: Kind) -> None:
        """Keeps the table from being written anew (by a rebase) until the transaction ends.

        Comes before the first query of a snapshot, which is then younger than what it waited for.
        """
        self.database.execute(
            sql.SQL("lock table {} in access share mode").format(kind.staging_table)
        )

    def wait_for_reader(self) -> None:
        """Lets the session wait, until the transaction ends, for the rows that it sends to be read.

        A chunk begun ahead waits as long as the bonus server needs for the chunk before it. None of
        the session's own limits may end it meanwhile, or the next chunk would fail as shop All's
        fault.
        """
        # Our own deadline stays: it does not count the time that the session waits for our pipe.
        self.database.execute("set local statement_timeout = 0; set local tcp_user_timeout = 0")
        self.database.may_wait()

    def current_snapshot(self) -> str:
        """The snapshot of the transaction under way, as text."""
        return str(self.database.value("select pg_current_snapshot()"))

    def read_in_order(self) -> None:
        """Makes queries walk the index on (xid, id) until the transaction ends.

        Without statistics the planner would sort the whole rest of a batch for every chunk.
        """
        self.database.execute(
            "set local enable_sort = off; set local enable_seqscan = off; "
            "set local enable_bitmapscan = off; set local max_parallel_workers_per_gather = 0; "
            "set local jit = off"
        )

    def read_by_value(self) -> None:
        """Makes queries ask the summaries which pages may hold a value, until the transaction ends.

        Without it the planner would read all of a table, or walk through its order from the end.
        """
        self.database.execute(
            "set local enable_bitmapscan = on; set local enable_seqscan = off; "
            "set local enable_indexscan = off; set local enable_indexonlyscan = off; "
            "set local jit = off"
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

    def is_waiting(self, kind: Kind, position: Position) -> bool:
        """Whether a committed row has not been moved."""
        return bool(self._waiting(kind, position, "exists (select from {} where {})", " or "))

    def count_waiting(self, kind: Kind, position: Position) -> int:
        """Counts committed rows that have not been moved."""
        return int(self._waiting(kind, position, "(select count(*) from {} where {})", " + "))

    def _waiting(self, kind: Kind, position: Position, asked: str, between: str) -> Any:
        parts = [sql.SQL(asked).format(kind.staging_table, range_) for range_ in waiting(position)]
        return self.database.value(sql.SQL("select {}").format(sql.SQL(between).join(parts)))

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
        rows, amount = self.database.one(query)
        return int(rows), amount

    def purged(self, kind: Kind) -> tuple[int, Decimal]:
        """Rows and finite amounts ever removed from the table by us."""
        query = "select rows, amount from datatransfer.purged where kind = %s"
        rows = self.database.rows(query, [kind.name])
        return rows[0] if rows else (0, Decimal(0))

    def missing(self, kind: Kind, numbers: list[int]) -> list[int]:
        """Those of these numbers that no staged row has."""
        self.read_by_value()
        query = sql.SQL("select id from {} where id = any(%s)").format(kind.staging_table)
        found = {number for (number,) in self.database.rows(query, [numbers])}
        return [number for number in numbers if number not in found]

    def row_as_json(self, kind: Kind, xid: str, id_: int) -> str:
        """A staged row for a reject, secrets masked, in characters that any encoding has."""
        query = sql.SQL("select {} from {} where xid = {}::xid8 and id = {}").format(
            sql.SQL(kind.payload), kind.staged, sql.Literal(xid), sql.Literal(id_)
        )
        return json.dumps(self.database.value(query))
