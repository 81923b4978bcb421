"""What is known of a load before it is staged: how the checks of `kinds` have judged its lines."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from transfer.engine.kind import MASK
from transfer.engine.shop_all.correction import REASONS
from transfer.engine.shop_all.staging_import import GOOD, StagingImport
from transfer.loading.headings import REJECT

Lock = Callable[[Iterator[tuple[str, int]]], object]

SAMPLE_ROWS = 8
BAD_LINES_AT_ONCE = 500  # each may have several cells of 10,000 characters

TOTALS = f"""
    select count(*) filter (where {GOOD}), count(*) filter (where not ({GOOD})),
           count(distinct {{subject}}) filter (where {GOOD}),
           sum({{amount}}) filter (where {GOOD}),
           sum({{amount}}) filter (where {GOOD} and {{amount}} > 0),
           sum({{amount}}) filter (where {GOOD} and {{amount}} < 0),
           count(of_changeset) filter (where {GOOD})
      from pg_temp.incoming
"""

SUMS = f"""
    select {{subject}}, sum({{amount}}) from pg_temp.incoming where {GOOD} group by 1
"""

LARGER = f"""
    select count(*) from pg_temp.incoming where {GOOD} and abs({{amount}}) > %(limit)s
"""

# A line that says the same as another: an account's bonus twice, perhaps.
REPEATED = f"""
    select coalesce(sum(times - 1), 0) from (
        select count(*) as times from pg_temp.incoming
         where {GOOD} group by {{columns}}, of_changeset, of_row having count(*) > 1
    ) as same
"""

# Lengths of what consists of digits: leading zeros that Excel took make some of them shorter.
LENGTHS = f"""
    select length({{column}}), count(*) from pg_temp.incoming
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
    corrections: int


class BadLineFound(NamedTuple):
    """A line that can't be loaded; `cells` are those to correct, without a secret."""

    line: int
    columns: str
    value: str
    code: str
    cells: dict[str, str]


class Loader:
    """The lines of a file, in the temporary table of an import."""

    def __init__(self, staged: StagingImport) -> None:
        self.staged = staged
        self.database = staged.database
        self.kind = staged.kind

    def totals(self) -> Totals:
        return Totals(
            *self.database.only_row(
                TOTALS.format(subject=self.kind.names[0], amount=f"({self.kind.amount})")
            )
        )

    def sums(self, most: int) -> dict[str, Decimal] | None:
        """What the good lines add to each account; None if there are more than `most` lines."""
        query = SUMS.format(subject=self.kind.names[0], amount=f"({self.kind.amount})")
        if self.totals().good > most:
            return None
        return dict(self.database.rows(query))

    def larger_than(self, limit: int) -> int:
        """How many good lines change a balance by more than the limit, up or down."""
        query = LARGER.format(amount=f"({self.kind.amount})")
        return int(self.database.only_row(query, {"limit": limit})[0])

    def reasons(self) -> dict[str, int]:
        return dict(
            self.database.rows(
                "select coalesce(unread, fault) as code, count(*) from pg_temp.incoming "
                f"where not ({GOOD}) group by code order by 2 desc"
            )
        )

    def repeated(self) -> int:
        return int(self.database.only_row(REPEATED.format(columns=", ".join(self.kind.names)))[0])

    def shorter(self, column: str) -> tuple[int, int, int] | None:
        """Rows whose number is shorter than nearly all others': how many, usual, shortest."""
        lengths: dict[int, int] = dict(self.database.rows(LENGTHS.format(column=column)))
        usual = next(iter(lengths), 0)
        if lengths.get(usual, 0) < 0.75 * sum(lengths.values()):
            return None
        short = {length: rows for length, rows in lengths.items() if length < usual}
        return (sum(short.values()), usual, min(short)) if short else None

    def sample(self) -> list[tuple[Any, ...]]:
        """The first lines: number, code of the fault, and values as they were understood.

        A value that contains the line's PIN code is masked.
        """
        rows = self.database.rows(
            f"select number, coalesce(unread, fault), unread_column, unread_value, "
            f"{self.kind.payload}, reject, {self._hidden()} from pg_temp.incoming "
            f"order by number limit {SAMPLE_ROWS}"
        )
        return [
            (*about, payload | dict.fromkeys(hidden, MASK), reject)
            for *about, payload, reject, hidden in rows
        ]

    def bad_lines(self) -> Iterator[BadLineFound]:
        """Yields every bad line."""
        columns, values = self._looked_at()
        query = (
            f"select number, case when unread is null then {columns} else unread_column end, "
            f"left(case when unread is null then {values} else unread_value end, 100), "
            f"coalesce(unread, fault), coalesce(unread_cells::json, {self.kind.payload}), "
            f"keeps, reject, {self._hidden()} "
            f"from pg_temp.incoming where not ({GOOD}) order by number"
        )
        for line, names, value, code, payload, keeps, reject, hidden in self.database.stream(
            "bad_lines", query, at_once=BAD_LINES_AT_ONCE
        ):
            keeps_secret = not self.kind.secrets.isdisjoint(keeps or ())
            if code in REASONS:  # said of the rejected row that the line names
                names = REJECT
            shown = payload | dict.fromkeys(hidden, "")
            cells: dict[str, str] = {}  # no PIN code is in them
            for name, text in shown.items():
                if name not in self.kind.secrets:
                    cells[name] = text or ""
                else:  # a mask means that the PIN code of the rejected row is kept
                    cells[name] = MASK if keeps_secret else ""
            cells[REJECT] = reject or ""
            yield BadLineFound(line, names or "", value or "", code, cells)

    def _looked_at(self) -> tuple[str, str]:
        """SQL for the columns that the failed check looks at, and for their values."""
        columns, values = [], []
        for check in self.kind.checks:
            names = self.kind.columns_of(check.code)
            columns.append(f"when '{check.code}' then '{', '.join(names)}'")
            shown = ", ".join(map(self._shown, names))
            values.append(f"when '{check.code}' then concat_ws(' / ', {shown})")
        return f"case fault {' '.join(columns)} end", f"case fault {' '.join(values)} end"

    def _shown(self, name: str) -> str:
        """SQL for the value of a column, masked if it is a PIN code, or contains the line's."""
        if name in self.kind.secrets:
            return f"case when {name} <> '' then '{MASK}' end"
        return f"case when {self._has_secret(name)} then '{MASK}' else {name}::text end"

    def _hidden(self) -> str:
        """SQL for the names of the other columns that contain the line's PIN code, as an array."""
        others = [name for name in self.kind.names if name not in self.kind.secrets]
        found = ", ".join(
            f"case when {self._has_secret(name)} then '{name}' end" for name in others
        )
        return f"array_remove(array[{found}]::text[], null)"

    def _has_secret(self, name: str) -> str:
        """SQL: whether a column contains the line's PIN code."""
        conditions = [
            f"{secret} <> '' and position({secret} in {name}::text) > 0"
            for secret in sorted(self.kind.secrets)
        ]
        return " or ".join(conditions) or "false"
