"""What of a staging table has reached a bonus server, and the SQL that tells rows by it.

A position is a pair of snapshots (DESIGN §3): every row visible in `read_through` has been moved;
of the batch under way, the rows visible in `reading`, those up to (`last_xid`, `last_id`).
PostgreSQL, "System Information Functions": pg_snapshot, pg_visible_in_snapshot.
"""

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from psycopg2 import sql

NOTHING_READ = "3:3:"  # 3 is the first transaction of a cluster: nothing is visible


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

    def __add__(self, other: "Totals") -> "Totals":
        return self._combined(other, 1)

    def __sub__(self, other: "Totals") -> "Totals":
        return self._combined(other, -1)

    def _combined(self, other: "Totals", sign: int) -> "Totals":
        return Totals(
            self.applied + sign * other.applied,
            self.unchanged + sign * other.unchanged,
            self.rejected + sign * other.rejected,
            self.amount_applied + sign * other.amount_applied,
            self.amount_rejected + sign * other.amount_rejected,
        )


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

    @property
    def key(self) -> tuple[str | int | None, ...]:
        """What compare-and-set compares."""
        return (self.read_through, self.reading, self.last_xid, self.last_id)

    def as_json(self) -> dict[str, Any]:
        """As a history keeps it: numbers of any size as text."""
        fields = asdict(self)
        fields["totals"] = {name: str(value) for name, value in fields["totals"].items()}
        return fields | {"purged_amount": str(self.purged_amount)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Position":
        totals: dict[str, Any] = {
            name: Decimal(value) if name.startswith("amount") else int(value)
            for name, value in fields["totals"].items()
        }
        purged = Decimal(fields["purged_amount"])
        return cls(**{**fields, "totals": Totals(**totals), "purged_amount": purged})

    def __str__(self) -> str:
        if self.reading is None:
            return self.read_through
        return f"{self.read_through} → {self.reading} @ {self.last_xid}/{self.last_id}"


def snapshot(value: str) -> sql.Composed:
    return sql.SQL("{}::pg_snapshot").format(sql.Literal(value))


def visible(value: str) -> sql.Composed:
    return sql.SQL("pg_visible_in_snapshot(xid, {})").format(snapshot(value))


def _last(position: Position) -> sql.Composed:
    return sql.SQL("({}::xid8, {}::bigint)").format(
        sql.Literal(str(position.last_xid)), sql.Literal(position.last_id)
    )


def moved(position: Position) -> sql.Composable:
    """A condition on a staging row: it has reached the bonus server."""
    if position.reading is None or position.last_xid is None:
        return sql.SQL("({})").format(visible(position.read_through))
    return sql.SQL("({} or ({} and (xid, id) <= {}))").format(
        visible(position.read_through), visible(position.reading), _last(position)
    )


def waiting(position: Position) -> sql.Composable:
    """A condition on a staging row: it has not. The first part lets the index be used."""
    return sql.SQL("xid >= pg_snapshot_xmin({}) and not {}").format(
        snapshot(position.read_through), moved(position)
    )


def batch(position: Position, reading: str) -> sql.Composable:
    """A condition on a staging row: it is in the batch `reading`, and not yet moved."""
    condition = sql.SQL(
        "xid >= pg_snapshot_xmin({through}) and xid < pg_snapshot_xmax({reading}) "
        "and not {before} and {now}"
    ).format(
        through=snapshot(position.read_through),
        reading=snapshot(reading),
        before=visible(position.read_through),
        now=visible(reading),
    )
    if position.last_xid is None:
        return condition
    return sql.SQL("(xid, id) > {} and ").format(_last(position)) + condition


def sees(snapshot: str, xid: int) -> bool:
    """`visible` in Python. PostgreSQL, "System Information Functions": xmin:xmax:xip,…"""
    xmin, xmax, running = snapshot.split(":")
    return xid < int(xmin) or (xid < int(xmax) and str(xid) not in running.split(","))


def has_moved(position: dict[str, Any] | None, origin: str, xid: int, id_: int) -> bool:
    """`moved` in Python, for a position as the history keeps it."""
    if position is None or position["origin"] != origin:
        return False
    if sees(position["read_through"], xid):
        return True
    if position["reading"] is None or position["last_xid"] is None:
        return False
    last = (int(position["last_xid"]), int(position["last_id"]))
    return sees(position["reading"], xid) and (xid, id_) <= last
