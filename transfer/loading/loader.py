"""The staging database's side of a load: judged by the checks of `kinds`, inserted once."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg2 import sql

from transfer.errors import NotInitialised, TransferError
from transfer.kinds import MASK, Kind
from transfer.loading.faults import columns_of
from transfer.loading.lines import Readable
from transfer.shop_all import quoted
from transfer.staging import Staging

BUFFER = 1 << 16
SAMPLE_ROWS = 8
GOOD = "unread is null and fault is null"

TOTALS = f"""
    select count(*) filter (where {GOOD}), count(*) filter (where not ({GOOD})),
           count(distinct {{subject}}) filter (where {GOOD}),
           sum({{amount}}) filter (where {GOOD}),
           sum({{amount}}) filter (where {GOOD} and {{amount}} > 0),
           sum({{amount}}) filter (where {GOOD} and {{amount}} < 0)
      from incoming
"""

# A line that says the same as another: an account's bonus twice, perhaps.
REPEATED = f"""
    select coalesce(sum(times - 1), 0) from (
        select count(*) as times from incoming where {GOOD} group by {{columns}} having count(*) > 1
    ) as same
"""

# Lengths of what consists of digits: leading zeros that Excel took make some of them shorter.
LENGTHS = f"""
    select length({{column}}), count(*) from incoming
     where {GOOD} and {{column}} ~ '^[0-9]+$' group by 1 order by 2 desc
"""


@dataclass(frozen=True)
class Totals:
    good: int
    bad: int
    subjects: int
    amount: Decimal | None
    added: Decimal | None
    taken: Decimal | None


class Loader(Staging):
    """Lines in a temporary table of the staging database. Everything in one transaction."""

    def __init__(self, dsn: str, kind: Kind) -> None:
        super().__init__(dsn, "load", secret=any(column.secret for column in kind.columns))
        self.kind = kind
        self.names = [column.name for column in kind.columns]

    def receive(self, lines: Iterator[str]) -> None:
        """Copies the lines in; the checks run while they arrive."""
        self.check_columns(self.kind)
        self.execute("set local statement_timeout = 0")
        self.execute(self.kind.incoming)
        self.execute(
            "alter table incoming add column unread text, add column unread_column text, "
            "add column unread_value text"
        )
        names = ", ".join(["id", *self.names, "unread", "unread_column", "unread_value"])
        file = Readable(lines)
        try:
            with self.explained(), self.connection.cursor() as cursor:
                cursor.copy_expert(f"copy incoming ({names}) from stdin", file, BUFFER)
        except TransferError:
            if file.error is not None:
                raise file.error from None
            raise

    def totals(self) -> Totals:
        return Totals(
            *self.one(TOTALS.format(subject=self.names[0], amount=f"({self.kind.amount})"))
        )

    def reasons(self) -> dict[str, int]:
        return dict(
            self.rows(
                "select coalesce(unread, fault) as code, count(*) from incoming "
                f"where not ({GOOD}) group by code order by 2 desc"
            )
        )

    def repeated(self) -> int:
        return int(self.one(REPEATED.format(columns=", ".join(self.names)))[0])

    def shorter(self, column: str) -> tuple[int, int, int] | None:
        """Rows whose number is shorter than nearly all others': how many, usual, shortest."""
        lengths = self.rows(LENGTHS.format(column=column))
        every = sum(count for _, count in lengths)
        if not lengths or lengths[0][1] < 0.75 * every:
            return None
        usual = lengths[0][0]
        short = [(length, count) for length, count in lengths if length < usual]
        return (sum(c for _, c in short), usual, min(n for n, _ in short)) if short else None

    def sample(self) -> list[tuple[Any, ...]]:
        """The first lines: number, code of the fault, and values as they were understood."""
        return self.rows(
            f"select id, coalesce(unread, fault), unread_column, unread_value, "
            f"{self.kind.payload} from incoming order by id limit {SAMPLE_ROWS}"
        )

    def bad_lines(self) -> Iterator[tuple[int, str, str, str]]:
        """Number, columns, value and code of every bad line."""
        columns, values = self._looked_at()
        query = (
            f"select id, case when unread is null then {columns} else unread_column end, "
            f"left(case when unread is null then {values} else unread_value end, 100), "
            f"coalesce(unread, fault) from incoming where not ({GOOD}) order by id"
        )
        with self.explained(), self.connection.cursor("dtadmin_bad_lines") as cursor:
            cursor.itersize = 2000
            cursor.execute(query)
            for line, names, value, code in cursor:
                yield line, names or "", value or "", code

    def _looked_at(self) -> tuple[str, str]:
        """SQL: the columns that the failed check looks at, and what stands in them."""
        secret = {column.name for column in self.kind.columns if column.secret}
        columns, values = [], []
        for check in self.kind.checks:
            names = columns_of(self.kind, check)
            columns.append(f"when '{check.code}' then '{', '.join(names)}'")
            told = ", ".join(
                f"case when {name} <> '' then '{MASK}' end" if name in secret else f"{name}::text"
                for name in names
            )
            values.append(f"when '{check.code}' then concat_ws(' / ', {told})")
        return f"case fault {' '.join(columns)} end", f"case fault {' '.join(values)} end"

    def already_loaded(self, token: UUID) -> int | None:
        """How many rows a load has brought, if it has committed."""
        found = self.rows("select rows from datatransfer.loaded where token = %s", [str(token)])
        return int(found[0][0]) if found else None

    def require_loaded_table(self) -> None:
        if self.one("select to_regclass('datatransfer.loaded')")[0] is None:
            raise NotInitialised(missing="datatransfer.loaded")

    def insert(self, token: UUID) -> int:
        """Inserts the good lines and notes the load, in the transaction under way."""
        names = sql.SQL(", ").join(map(sql.Identifier, self.names))
        rows = self.execute(
            sql.SQL(
                "insert into {} ({names}) select {names} from incoming where {good} order by id"
            ).format(quoted(self.kind), names=names, good=sql.SQL(GOOD))
        )
        self.execute(
            "insert into datatransfer.loaded (token, kind, rows) values (%s, %s, %s)",
            [str(token), self.kind.name, rows],
        )
        return rows
