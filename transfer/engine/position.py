"""Which staged rows have reached a bonus server, and the SQL that selects them.

A position is a pair of snapshots (docs/EXACTLY-ONCE.md): every row visible in `read_through` has
been moved; of the batch under way, the rows visible in `reading`, those up to (`last_xid`,
`last_id`).
`reader`, `number` and `token` name the batch of the log in shop All that the later of the two
snapshots comes from. PostgreSQL, "System Information Functions": pg_snapshot,
pg_visible_in_snapshot.
"""

import re
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass
from decimal import Decimal
from operator import add, sub
from typing import Any

from psycopg2 import sql

SNAPSHOT = re.compile(r"[0-9]{1,20}:[0-9]{1,20}:[0-9,]*")
# More rows than any table has: sums of such numbers still fit into a bigint.
MOST_ROWS = 10**15
NOTHING_READ = "3:3:"  # 3 is the first transaction of a cluster: nothing is visible


def numbers(texts: dict[str, str]) -> dict[str, Any]:
    """Reads rows and amounts that were stored as text; names with "amount" are amounts."""
    return {name: Decimal(text) if "amount" in name else int(text) for name, text in texts.items()}


@dataclass(frozen=True)
class Totals:
    """Rows and sums that a position has seen since it began."""

    applied: int = 0
    unchanged: int = 0
    rejected: int = 0
    amount_applied: Decimal = Decimal(0)
    amount_rejected: Decimal = Decimal(0)

    @property
    def read(self) -> int:
        return self.applied + self.unchanged + self.rejected

    def as_json(self) -> dict[str, str]:
        """Numbers of any size as text."""
        return {name: str(value) for name, value in asdict(self).items()}

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(*map(add, astuple(self), astuple(other)))

    def __sub__(self, other: "Totals") -> "Totals":
        return Totals(*map(sub, astuple(self), astuple(other)))


@dataclass(frozen=True)
class Position:
    origin: str
    kind: str
    read_through: str = NOTHING_READ
    reading: str | None = None
    last_xid: int | None = None
    last_id: int | None = None
    totals: Totals = Totals()
    purged_rows: int = 0  # removed from the staging table before this position began
    purged_amount: Decimal = Decimal(0)
    reader: str | None = None  # null before there was a log
    number: int = 0  # of the reader's batches; 0: none of the log
    token: str | None = None
    purge_accepted: int = 0  # what purges up to this one took may be missing: that was accepted

    @property
    def key(self) -> tuple[str | int | None, ...]:
        """What compare-and-set compares."""
        return (
            *(self.read_through, self.reading, self.last_xid, self.last_id),
            *(self.reader, self.number, self.token),
        )

    @property
    def snapshot(self) -> str:
        """That of the batch which the position names."""
        return self.reading or self.read_through

    @property
    def oldest_unread(self) -> int:
        """The lowest number of a transaction whose rows may not have been moved."""
        return self.last_xid or int(self.read_through.split(":")[0])

    def has_moved(self, xid: int, id_: int) -> bool:
        """Whether it has moved this row; `moved` in Python."""
        if sees(self.read_through, xid):
            return True
        if self.reading is None or self.last_xid is None or self.last_id is None:
            return False
        return sees(self.reading, xid) and (xid, id_) <= (self.last_xid, self.last_id)

    def goes_on_from(self, earlier: "Position") -> bool:
        """Whether it is `earlier` after more rows were moved.

        A reader's batches have ascending numbers, and every chunk adds to the totals.
        `set_position` and a restored bonus server lead to a new reader, an earlier batch, or no
        more rows.
        """
        is_same_reader = (self.origin, self.reader) == (earlier.origin, earlier.reader)
        has_moved_more = self.totals.read > earlier.totals.read
        return is_same_reader and has_moved_more and self.number >= earlier.number

    @property
    def is_older_than_the_log(self) -> bool:
        """Whether it has moved something, and no batch of the log says so."""
        return self.number == 0 and self.snapshot != NOTHING_READ

    def as_json(self) -> dict[str, Any]:
        """As a history keeps it: numbers of any size as text."""
        texts = {"totals": self.totals.as_json(), "purged_amount": str(self.purged_amount)}
        return asdict(self) | texts

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Position":
        totals = Totals(**numbers(fields["totals"]))
        purged = Decimal(fields["purged_amount"])
        return cls(**{**fields, "totals": totals, "purged_amount": purged})

    def __str__(self) -> str:
        if self.reading is None:
            return self.read_through
        return f"{self.read_through} → {self.reading} @ {self.last_xid}/{self.last_id}"


def visible(snapshot: str) -> sql.Composed:
    query = sql.SQL("pg_visible_in_snapshot(xid, {}::pg_snapshot)")
    return query.format(sql.Literal(snapshot))


def _last(position: Position) -> sql.Composed:
    return sql.SQL("({}::xid8, {}::bigint)").format(
        sql.Literal(str(position.last_xid)), sql.Literal(position.last_id)
    )


def moved(position: Position) -> sql.Composable:
    """A condition on a staging row: it has reached the bonus server."""
    if position.reading is None or position.last_xid is None:
        return sql.SQL("({})").format(visible(position.read_through))
    return sql.SQL("({} or {})").format(visible(position.read_through), _moved_in_batch(position))


def _moved_in_batch(position: Position) -> sql.Composed:
    return sql.SQL("({} and (xid, id) <= {})").format(visible(position.snapshot), _last(position))


def waiting(position: Position) -> list[sql.Composable]:
    """Conditions on a staging row, each a range of the index: it has not, by one of them."""
    ranges = _unread(position)
    if position.last_xid is None:
        return ranges
    return [sql.SQL("{} and not {}").format(one, _moved_in_batch(position)) for one in ranges]


def batch(position: Position, reading: str) -> list[sql.Composable]:
    """Conditions, likewise: the row is in the batch `reading`, and not yet moved."""
    rest = sql.SQL("{} and xid < {}::xid8").format(
        visible(reading), sql.Literal(reading.split(":")[1])
    )
    if position.last_xid is not None:
        rest = sql.SQL("(xid, id) > {} and {}").format(_last(position), rest)
    return [sql.SQL("{} and {}").format(range_, rest) for range_ in _unread(position)]


def any_of(conditions: Iterable[sql.Composable]) -> sql.Composable:
    """SQL: one of the conditions holds."""
    return sql.SQL(" or ").join(sql.SQL("({})").format(one) for one in conditions)


def _unread(position: Position) -> list[sql.Composable]:
    """What `read_through` does not see: transactions that ran then, and those that began after.

    The rows that were moved while an idle writer was open are not read again. The text form is
    xmin:xmax:xip_list (PostgreSQL, "Snapshot Components").
    """
    _, end, running = position.read_through.split(":")
    ranges: list[sql.Composable] = [sql.SQL("xid >= {}::xid8").format(sql.Literal(end))]
    if running:
        held_back = sql.Literal("{" + running + "}")
        ranges.insert(0, sql.SQL("xid = any({}::xid8[])").format(held_back))
    return ranges


def sees(snapshot: str, xid: int) -> bool:
    """`visible` in Python. PostgreSQL, "System Information Functions": xmin:xmax:xip,…"""
    xmin, xmax, running = snapshot.split(":")
    return xid < int(xmin) or (xid < int(xmax) and str(xid) not in running.split(","))


def recorded_has_moved(position: str) -> str:
    """`moved` for a position as the history keeps it, in SQL: an expression that yields its JSON.

    Of a row whose `xid` and `id` are numbers, staged in the database `origin`.
    """
    visible = f"pg_visible_in_snapshot(xid::text::xid8, ({position} ->> '{{}}')::pg_snapshot)"
    last = f"(({position} ->> 'last_xid')::bigint, ({position} ->> 'last_id')::bigint)"
    return (
        f"coalesce({position} ->> 'origin' = origin and ({visible.format('read_through')} "
        f"or {visible.format('reading')} and (xid, id) <= {last}), false)"
    )
