"""Rows that the bonus server's own tables refuse: found by halving, one reject each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import psycopg2
from psycopg2 import sql

from transfer.causes.ledger import TOO_MANY_REFUSED
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.errors import TransferError

FEW_ROWS = 100  # a chunk of fewer rows may be refused wholly: that alone shows no common cause

# By this index the rows of a range are found.
INDEX = 'create index on {table} (number, "row")'
# How many rows there are. Reads the table.
COUNT = "select count(*) from {table} where {rows}"
# The place of one row of a range, counted from 0. By the index.
NTH = """
    select number as last, "row" from {table} where {rows} order by number, "row"
    offset {n} limit 1
"""
# Where a statement that fails is taken back to.
SAVE = "savepoint rows"
# Takes it back.
GO_BACK = "rollback to savepoint rows; release savepoint rows"
# Keeps what it has done.
KEEP = "release savepoint rows"

Refuse = Callable[[str, str, str | None], None]
Statement = Callable[[str], str | sql.Composed]

# SQLSTATEs that do not tell about a row, but about the connection (08), a log-in of the vendor's
# trigger at another server (28, HV00N), our transaction (25, 40), locks and the state of objects
# (55), resources (53, 58), a shutdown, cancel or time limit (57), the configuration (F0) or a bug
# of PostgreSQL (XX).
NOT_OF_A_ROW = ("08", "25", "28", "40", "53", "55", "57", "58", "F0", "HV00N", "XX")


@dataclass(frozen=True)
class Applied:
    """Rows that statements changed, and rows that did not land although no error was raised."""

    changed: int = 0
    swallowed: int = 0

    def __add__(self, other: "Applied") -> "Applied":
        return Applied(self.changed + other.changed, self.swallowed + other.swallowed)


@dataclass(frozen=True)
class Range:
    """The rows that fulfil `condition` and lie between two places in the order of (number, row).

    As text it is one SQL condition. Each bound is named once: of several, PostgreSQL begins an
    index scan at the first one, and would read the same rows again for each row that it looks for.
    """

    condition: str
    after: str = ""
    last: str = ""

    def __str__(self) -> str:
        after = f' and (number, "row") > {self.after}' if self.after else ""
        last = f' and (number, "row") <= {self.last}' if self.last else ""
        return self.condition + after + last


class Bisection:
    """Runs statements over the rows of a temporary table, without those that the server refuses.

    Each statement is made from a condition on (number, row): the rows that it has to take. What
    they select (see `Applied`), or their row counts, are added up. Ranges come in the order of
    (number, row), so that the outcome is that of row by row. `refuse` gets the condition that names
    a refused row, its SQLSTATE and the constraint; never the message, which may quote the row.

    `quick`: statements that are tried first, over all rows. They count only if none fails and every
    row lands. Else they are taken back, for any reason, and `statements` decide.
    """

    def __init__(
        self,
        target: BonusDatabase,
        table: str,
        statements: Sequence[Statement],
        refuse: Refuse,
        quick: Sequence[Statement] = (),
    ) -> None:
        self.target = target
        self.table = table
        self.statements = statements
        self.refuse = refuse
        self.quick = quick
        self.rows = 0
        self.refused = 0
        self.error: psycopg2.Error | None = None  # the latest that may be of a row

    def run(self, good: str = "true") -> Applied:
        """Applies all rows that fulfil the condition `good`.

        Raises TOO_MANY_REFUSED, or the error of the statements if they fail without any row, too.
        """
        if self.quick and (done := self._attempt(good, self.quick, all_land=True)) is not None:
            return done
        if (done := self._attempt(good, self.statements)) is not None:
            return done
        fails_without_rows = self._attempt("false", self.statements) is None
        if fails_without_rows and self.error is not None:  # then no row is the cause
            with self.target.database.explained():
                raise self.error
        self.target.database.execute(INDEX.format(table=self.table))
        self.rows = self.target.database.value(COUNT.format(table=self.table, rows=good))
        return self._halve(Range(good), self.rows)

    def _halve(self, among: Range, rows: int) -> Applied:
        """Applies the `rows` rows of a range; the server refuses at least one of them."""
        if rows == 1:
            self._refuse(str(among))
            return Applied()
        half = rows // 2
        last = NTH.format(table=self.table, rows=among, n=half - 1)
        number, row = self.target.database.only_row(last)
        middle = f"({number}, {row})"
        first, second = replace(among, last=middle), replace(among, after=middle)
        return self._apply(first, half) + self._apply(second, rows - half)

    def _apply(self, among: Range, rows: int) -> Applied:
        done = self._attempt(str(among), self.statements)
        return self._halve(among, rows) if done is None else done

    def _refuse(self, row: str) -> None:
        sqlstate = ""
        constraint: str | None = None
        if self.error is not None:
            sqlstate, constraint = self.error.pgcode or "", self.error.diag.constraint_name
        self.refused += 1
        if self.rows >= FEW_ROWS and self.refused > self.rows / 2:
            raise TransferError(
                TOO_MANY_REFUSED,
                database=self.target.name,
                rows=self.rows,
                reason=" ".join(filter(None, [sqlstate, constraint])),
            )
        self.refuse(row, sqlstate, constraint)

    def _attempt(
        self, rows: str, statements: Sequence[Statement], *, all_land: bool = False
    ) -> Applied | None:
        """What the statements did; None if they failed because of a row: then nothing was done.

        With `all_land` they also fail where a row does not land.
        """
        with self.target.database.explained(), self.target.database.connection.cursor() as cursor:
            cursor.execute(SAVE)
            try:
                done = Applied()
                for statement in statements:
                    cursor.execute(statement(rows))
                    if cursor.description:
                        done += Applied(*cursor.fetchall()[0])
                    else:
                        done += Applied(cursor.rowcount)
            except psycopg2.Error as error:
                # Any other SQLSTATE may be of a row: a vendor's trigger chooses its own.
                if error.pgcode is None or error.pgcode.startswith(NOT_OF_A_ROW):
                    raise
                self.error = error
                cursor.execute(GO_BACK)
                return None
            is_kept = not (all_land and done.swallowed)
            cursor.execute(KEEP if is_kept else GO_BACK)
            return done if is_kept else None
