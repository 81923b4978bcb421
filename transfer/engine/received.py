"""What a bonus server has received of one kind: its position, and what the position says wrongly.

Everything here is data and pure functions; no database is asked. The words are those of
docs/EXACTLY-ONCE.md. A **changeset** is all rows of one kind that one transaction staged; its id is
a uuid. Shop All numbers changesets in its **log**. A position `(number, mark)` is the last line of
the log that the server has passed. An **exception** names a changeset of which the server has
received exactly the rows up to `last`, whatever the position says.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, field, replace
from decimal import Decimal
from operator import add, sub
from typing import Any, Self

WHOLE = 2**63 - 1
"""The `last` of an exception: all rows of the changeset were received."""
NOTHING = -(2**63)
"""The `last` of an exception: none of its rows was received."""
NO_CHANGESET = "00000000-0000-0000-0000-000000000000"
"""Stands in a receipt for a line without rows. Also the mark of line 0, before the first one."""
NO_MARK = NO_CHANGESET
DISCARDED = "ffffffff-ffff-ffff-ffff-ffffffffffff"
"""Closes a reject in place of a changeset: a person decided that the row is not applied."""

MOST_ROWS = 10**15
"""More rows than any table has: sums of such numbers still fit into a bigint."""


@dataclass(frozen=True)
class Totals:
    """Rows and sums that a server has received since its position began.

    Sums leave out rows that set an amount or take one back: they are differences, and not what
    somebody staged.
    """

    applied: int = 0
    unchanged: int = 0
    rejected: int = 0
    amount_applied: Decimal = Decimal(0)
    amount_rejected: Decimal = Decimal(0)

    @property
    def read(self) -> int:
        return self.applied + self.unchanged + self.rejected

    def as_json(self) -> dict[str, str]:
        """Return the numbers, which have any size, as text."""
        return {name: str(value) for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, fields: dict[str, str]) -> Self:
        """Return the totals that `as_json` wrote."""
        numbers: dict[str, Any] = {
            name: Decimal(text) if "amount" in name else int(text) for name, text in fields.items()
        }
        return cls(**numbers)

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(*map(add, astuple(self), astuple(other)))

    def __sub__(self, other: "Totals") -> "Totals":
        return Totals(*map(sub, astuple(self), astuple(other)))


@dataclass(frozen=True)
class Place:
    """A line of a log by its number and its mark, which the append that added it has drawn."""

    number: int = 0
    mark: str = NO_MARK

    @property
    def is_begin(self) -> bool:
        """Whether it is the place before the first line, which every log has."""
        return (self.number, self.mark) == (0, NO_MARK)


@dataclass(frozen=True)
class Beginning:
    """How a position began: up to which line somebody has said what the server has received."""

    how: str = "nothing"  # a value of `begin.Answer`
    place: Place = field(default_factory=Place)
    by: str = ""
    at: str = ""  # ISO time


@dataclass(frozen=True)
class Position:
    """What a bonus server has received of one kind of one shop All.

    `version` is drawn at random by each transaction that changes the position, its receipts or its
    exceptions, so that equal versions mean an equal state, also after a restore.

    `uncounted` is what the totals contain that the server has not received by the name `server`:
    what somebody said that it has, or what the server has received of which it is a copy.
    """

    origin: str
    kind: str
    server: str
    place: Place
    version: str
    totals: Totals = Totals()
    beginning: Beginning = field(default_factory=Beginning)
    uncounted: Totals = Totals()

    @property
    def received(self) -> Totals:
        """What the server has received since it has its name."""
        return self.totals - self.uncounted

    def as_json(self) -> dict[str, Any]:
        """Return the position as our own history keeps it."""
        return {
            "origin": self.origin,
            "number": self.place.number,
            "mark": self.place.mark,
            "version": self.version,
            "server": self.server,
            "totals": self.totals.as_json(),
            "received": self.received.as_json(),
        }


@dataclass(frozen=True)
class Recorded:
    """A position as our own history keeps it: what it said when it was written down."""

    origin: str
    server: str
    place: Place
    version: str
    totals: Totals
    received: Totals

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Return the position that `Position.as_json` wrote."""
        place = Place(fields["number"], fields["mark"])
        totals, received = (Totals.from_json(fields[name]) for name in ("totals", "received"))
        return cls(fields["origin"], fields["server"], place, fields["version"], totals, received)

    def is_of_same(self, position: Position) -> bool:
        """Whether both are of the same shop All and bonus server."""
        return (self.origin, self.server) == (position.origin, position.server)

    def is_before(self, position: Position) -> bool:
        """Whether the position is this one after more rows were received.

        A bonus server that was restored to an earlier state has received no more.
        """
        return self.is_of_same(position) and self.received.read < position.received.read

    def is_ahead_of(self, position: Position) -> bool:
        """Whether the position is at an earlier line, or at another line of the same number."""
        mine, other = self.place, position.place
        return self.origin == position.origin and mine.number >= other.number and mine != other

    def is_after(self, position: Position) -> bool:
        """Whether this one is the position after more rows were received."""
        return self.is_of_same(position) and self.received.read > position.received.read


@dataclass(frozen=True)
class Receipt:
    """Lines of one append that a server has passed: number of the last, mark, and of each line the
    changeset, its rows and their sum.
    """

    last: int
    mark: str
    changesets: list[str]
    rows: list[int]
    amounts: list[Decimal]


BEFORE_THE_FIRST_LINE = Receipt(0, NO_MARK, [], [], [])


@dataclass(frozen=True)
class Exceptions:
    """The exceptions of a position, as far as they concern the next lines.

    `incomplete`: changeset → last row received, of those that lack rows and are not skipped.
    `others`: whether there are any other ones, which have to be asked for by changeset.
    """

    incomplete: Mapping[str, int] = field(default_factory=dict)
    others: bool = False

    def after(self, read: Mapping[str, int]) -> "Exceptions":
        """Return the exceptions after a chunk: `read` is changeset → last row, WHOLE for all."""
        merged = {**self.incomplete, **read}
        incomplete = {name: last for name, last in merged.items() if last != WHOLE}
        return replace(self, incomplete=incomplete)


def has_received(row: int, number: int | None, position: Place, exception_last: int | None) -> bool:
    """Return whether a server has received a row.

    `number` is that of the row's changeset in the log that the position is in, None if the log
    lacks it. `exception_last` is the `last` of the server's exception, None without one.
    """
    if exception_last is not None:
        return row <= exception_last
    return number is not None and number <= position.number


# What a transfer can have written: the tables are in databases that others can change.

CANONICAL = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_uuid(value: Any) -> bool:
    """Return whether a value is a UUID as PostgreSQL writes it."""
    return isinstance(value, str) and bool(CANONICAL.fullmatch(value))


def is_bigint(value: Any) -> bool:
    return isinstance(value, int) and NOTHING <= value <= WHOLE


def is_count(value: Any) -> bool:
    """Return whether it is a number of rows, or unknown."""
    return value is None or (isinstance(value, int) and 0 <= value <= MOST_ROWS)


def is_sum(value: Any) -> bool:
    """Return whether it is a finite sum, or unknown."""
    return value is None or (isinstance(value, Decimal | int) and Decimal(value).is_finite())
