"""Rows that the bonus server's own tables refuse: found by halving, one reject each. No Django."""

from collections.abc import Callable, Sequence

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import cursor as Cursor

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import TooManyRefused

MOST_REFUSED = 1_000  # in a chunk: of more than that, something else than the rows is wrong

Refuse = Callable[[str, str, str | None], None]
Statement = Callable[[str], str | sql.Composed]


def is_refusal(error: psycopg2.Error) -> bool:
    """Whether the server objects to a value, and not to us.

    Classes 22 and 23: data exceptions, integrity constraints. P0001: a trigger that says no.
    """
    code = error.pgcode or ""
    return code[:2] in ("22", "23") or code == "P0001"


class Bisection:
    """Runs statements over the rows of a temporary table, without those that the server refuses.

    Each statement is made from which rows it shall take: a condition on (xid, id). Their row
    counts, or the number that they select, are added up. Ranges come in the order of (xid, id),
    so that the outcome is that of row by row. `refuse` is told the condition that names a refused
    row, its SQLSTATE and the constraint; never the message, which may quote the row.
    """

    def __init__(
        self, target: BonusDatabase, table: str, statements: Sequence[Statement], refuse: Refuse
    ) -> None:
        self.target = target
        self.table = table
        self.statements = statements
        self.refuse = refuse
        self.refused = 0
        self.reason: tuple[str, str | None] = ("", None)  # of the latest refusal

    def run(self, good: str = "true") -> int:
        """Applies all rows that fulfil the condition `good`. Raises TooManyRefused."""
        if (done := self._attempt(good)) is not None:
            return done
        self.target.database.execute(f"create index on {self.table} (xid, id)")
        rows = self.target.database.value(f"select count(*) from {self.table} where {good}")
        return self._halve(good, rows)

    def _halve(self, among: str, rows: int) -> int:
        """The `rows` rows that fulfil a condition, one of which at least the server refuses."""
        if rows == 1:
            self._refuse(among)
            return 0
        half = rows // 2
        xid, id_ = self.target.database.one(
            f"select xid::text as last, id from {self.table} where {among} order by xid, id "
            f"offset {half - 1} limit 1"
        )
        first = f"{among} and (xid, id) <= ('{xid}'::xid8, {id_})"
        second = f"{among} and (xid, id) > ('{xid}'::xid8, {id_})"
        return self._apply(first, half) + self._apply(second, rows - half)

    def _apply(self, among: str, rows: int) -> int:
        done = self._attempt(among)
        return self._halve(among, rows) if done is None else done

    def _refuse(self, row: str) -> None:
        sqlstate, constraint = self.reason
        self.refused += 1
        if self.refused > MOST_REFUSED:
            raise TooManyRefused(
                database=self.target.name,
                most=MOST_REFUSED,
                reason=" ".join(filter(None, [sqlstate, constraint])),
            )
        self.refuse(row, sqlstate, constraint)

    def _attempt(self, rows: str) -> int | None:
        """What the statements did; None when the server refused a row, and nothing was done."""
        with self.target.database.explained(), self.target.database.connection.cursor() as cursor:
            cursor.execute("savepoint rows")
            try:
                done = sum(_run(cursor, each(rows)) for each in self.statements)
            except psycopg2.Error as error:
                if not is_refusal(error):
                    raise
                self.reason = (error.pgcode or "", error.diag.constraint_name)
                cursor.execute("rollback to savepoint rows; release savepoint rows")
                return None
            cursor.execute("release savepoint rows")
            return done


def _run(cursor: Cursor, statement: str | sql.Composed) -> int:
    cursor.execute(statement)
    if cursor.description:
        return int(cursor.fetchall()[0][0])
    return int(cursor.rowcount)
