"""Rows, the lines of the log, and sums: what both databases and both sides of a transfer know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

Key = tuple[str, int]  # the name of a row: (changeset, line of the file or else the table's id)

WHOLE = 10**9  # the last row of an exception: all rows of the changeset were received
NOTHING = -1  # the last row of an exception: none of them
ZERO = "zero"  # the mark of line 0; in a receipt: a line without rows

REPLACES, REVERSES, SETS = "replaces", "reverses", "sets"


class Refusal(Exception):
    """The transfer cannot go on, or a command is not possible. Nothing was changed."""

    def __init__(self, code: str, changesets: Iterable[str] = ()) -> None:
        self.code, self.changesets = code, list(changesets)
        super().__init__(f"{code} {self.changesets}")


@dataclass(frozen=True, slots=True)
class Sum:
    """A number of rows and their amount."""

    rows: int = 0
    amount: int = 0

    def __add__(self, other: Sum) -> Sum:
        return Sum(self.rows + other.rows, self.amount + other.amount)

    def __sub__(self, other: Sum) -> Sum:
        return Sum(self.rows - other.rows, self.amount - other.amount)


@dataclass(slots=True)
class Row:
    """A staged row. For PIN codes and cards, `amount` stands for the value."""

    amount: int
    account: str = ""
    effect: str = ""  # REPLACES, REVERSES, SETS; "" for a row that depends on nothing
    of: Key | None = None  # the row that it depends on
    root: Key | None = None  # the row at the end of that chain, which depends on nothing
    first: int = 0  # of the root: its amount before any change
    changed: bool = False  # its own amount was updated after it was staged
    line: int = 0  # the line of the file or of the call; 0: a writer who uses SQL
    name: int = 0  # the second part of its key

    def copy(self) -> Row:
        return Row(
            self.amount, self.account, self.effect, self.of, self.root, self.first, self.changed,
            self.line, self.name,
        )  # fmt: skip


def sum_rows(rows: Iterable[Row]) -> Sum:
    """Return how many rows these are, and their amount as `log` and `position` count it."""
    total = Sum()
    for row in rows:
        total += Sum(1, amount_of_sums(row))
    return total


def amount_of_sums(row: Row) -> int:
    """Return what a row adds to sums: its first amount; nothing for changes and opposites.

    The amount of a row may be changed in place between its append and a chunk; the first one may
    not, so it is the only one that both sides can count.
    """
    if row.effect in (REVERSES, SETS):
        return 0
    return row.amount if row.effect else row.first


@dataclass(slots=True)
class Line:
    """A changeset: its staged rows and, once it has a mark, its line in the log."""

    changeset: str
    rows: list[Row]  # as staged; those in `deleted` are not in the table any more
    xid: int = 0
    started: int = 0
    committed: bool = True
    load: bool = False
    mark: str = ""
    total: Sum = field(default_factory=Sum)  # of its rows, when it was appended
    total_to: Sum = field(default_factory=Sum)  # of all lines up to this one
    withdrawn: bool = False
    deleted: set[int] = field(default_factory=set)  # names of rows
    gone: int = 0  # how many deleted rows people have agreed to do without
    purged: bool = False
    removed: bool = False  # its lifetime is over: number, mark and total_to are left
    installation: str = ""  # of an answer to `shop_all_went_back`
    event: int = 0  # when it was staged; only the oracle reads this

    def copy(self) -> Line:
        return Line(
            self.changeset, [row.copy() for row in self.rows], self.xid, self.started,
            self.committed, self.load, self.mark, self.total, self.total_to, self.withdrawn,
            set(self.deleted), self.gone, self.purged, self.removed, self.installation, self.event,
        )  # fmt: skip

    def last_name(self) -> int:
        return self.rows[-1].name

    def present(self) -> list[Row]:
        """Return the rows that are still in the staging table."""
        if self.purged:
            return []
        return [row for row in self.rows if row.name not in self.deleted]

    def find(self, name: int) -> Row | None:
        return next((row for row in self.rows if row.name == name), None)
