"""The rejects in a bonus server's database: rows that it has received and whose outcome is not in
the vendor's tables.

A reject is open until people have decided (`resolved_by` is null), or closed: by the changeset that
corrects the row or takes it back, or by DISCARDED. They change in the transactions that change the
vendor's tables, while the position is locked.

The table is ours, but it is in the server's database: its administrator can write anything into it,
or put a view in its place. So nothing in it is trusted. A value that no transfer can have written
becomes "unknown": such a reject is shown, counted and can be discarded. The names of rows and
rejects (numbers, UUIDs) have no such replacement: where one of them is wrong, the table as a whole
is refused.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from transfer.causes.ledger import REJECTS_UNREADABLE
from transfer.causes.rows import REASONS, UNKNOWN
from transfer.engine.kind import MASK, Kind
from transfer.engine.postgres.answer_size import LONG_LIST
from transfer.engine.postgres.database import Database
from transfer.engine.received import DISCARDED, Position
from transfer.errors import TransferError, one_line

LONGEST_PAYLOAD = 100_000  # characters of the row as JSON
LONGEST_NAME = 63  # characters of a name in PostgreSQL
BIGGEST = 2**63 - 1  # of a bigint

# Rejects. Each text is cut off where it is surely too long, so that neither psycopg2 nor our memory
# meets more; JSON is read here and not by psycopg2, which would raise.
READ = f"""
    select reject.changeset::text, reject."row", left(code::text, 100), left(sqlstate::text, 100),
           left(constraint_name::text, 100), left(payload::text, {LONGEST_PAYLOAD + 1}),
           effect, root_changeset::text, root_row, resolved_by::text, rejected_at
      from datatransfer.reject
"""

EFFECTS = ("replaces", "reverses", "sets")
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
CLOCK_DIFFERENCE = timedelta(days=1)
SQLSTATE = re.compile("[0-9A-Z]{5}")
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # what PostgreSQL takes in no text

Payload = dict[str, str | None]

# Writes the rejects of a chunk: the rows of `incoming` with a fault. The changesets come from the
# lines of the chunk.
ADD = """
    insert into datatransfer.reject (origin, kind, changeset, "row", code, sqlstate,
                                     constraint_name, payload, changed_in)
    select %(origin)s, %(kind)s, line.changeset, incoming."row", fault, sqlstate, constraint_name,
           coalesce(as_json, {payload}), %(version)s
      from pg_temp.incoming join pg_temp.line using (number)
     where fault is not null and fault <> 'known'
        on conflict do nothing
"""
# Notes rows that nobody waits for any more, since they were deleted by hand: a later row that
# depends on one of them is not applied.
ADD_GONE = """
    insert into datatransfer.reject (origin, kind, changeset, "row", code, resolved_by, changed_in)
    select %s, %s, changeset, "row", 'gone', %s, %s
      from unnest(%s::uuid[], %s::bigint[]) as gone (changeset, "row")
        on conflict do nothing
"""
# The open rejects among these, closed as discarded. By the primary key.
DISCARD = """
    update datatransfer.reject set resolved_by = %s, changed_in = %s
      from unnest(%s::uuid[], %s::bigint[]) as chosen (changeset, "row")
     where reject.origin = %s and reject.kind = %s and reject.changeset = chosen.changeset
       and reject."row" = chosen."row" and resolved_by is null
"""
# Forgets the rejects and the amounts in effect. By the primary keys.
FORGET = """
    with gone as (delete from datatransfer.reject where origin = %(origin)s and kind = %(kind)s)
    delete from datatransfer.seen where origin = %(origin)s and kind = %(kind)s
"""
# Those that people see: without closed rejects of rows that never had an open one. By the index on
# what a version has changed.
CHANGED_IN = (
    READ + " where origin = %s and kind = %s and changed_in = %s"
    " and (resolved_by is null or payload is not null)"
)
# By the index on open ones.
OPEN = READ + " where origin = %s and kind = %s and resolved_by is null"
# By the primary key.
NAMED = (
    READ
    + """
      join unnest(%s::uuid[], %s::bigint[]) as chosen (changeset, "row")
        on chosen.changeset = reject.changeset and chosen."row" = reject."row"
     where origin = %s and kind = %s
"""
)
# The rows of a changeset that have a reject. By the primary key.
OF_CHANGESET = """
    select "row" from datatransfer.reject where origin = %s and kind = %s and changeset = %s::uuid
"""
COUNT_OPEN_OF = """
    select count(*) from datatransfer.reject
     where origin = %s and kind = %s and changeset = %s::uuid and resolved_by is null
"""
COUNT = """
    select count(*), count(*) filter (where resolved_by is null)
      from datatransfer.reject where origin = %s and kind = %s
"""


@dataclass(frozen=True)
class Reject:
    """A row that was not applied, as it came, PIN codes masked.

    `code` is "unknown" where the table has no reject that a transfer can have written; an unknown
    `payload` is empty. `effect` and the root are those of a row that depends on another one.
    `resolved_by` is the changeset that has closed it, or DISCARDED; None while it is open. `at` is
    never in the future, and None when it is unknown.
    """

    changeset: str
    row: int
    code: str
    sqlstate: str
    constraint: str
    payload: Payload
    effect: str
    root_changeset: str | None
    root_row: int | None
    resolved_by: str | None
    at: datetime | None


def _read(row: tuple[Any, ...], kind: Kind) -> Reject:
    """Return one reject. Raises ValueError, TypeError, AttributeError where a name is wrong."""
    changeset, number, code, sqlstate, constraint, payload, effect, *root, resolved_by, at = row
    known = {} if payload is None else _payload(payload, kind)
    root_changeset, root_row = root
    return Reject(
        changeset=str(UUID(changeset)),
        row=_number(number),
        code=code if known is not None and code in REASONS else UNKNOWN.code,
        sqlstate=sqlstate if SQLSTATE.fullmatch(sqlstate or "") else "",
        constraint=_name(constraint),
        payload=known or {},
        effect=effect if effect in EFFECTS else "",
        root_changeset=None if root_changeset is None else str(UUID(root_changeset)),
        root_row=None if root_row is None else _number(root_row),
        resolved_by=None if resolved_by is None else str(UUID(resolved_by)),
        at=_moment(at),
    )


def _number(value: Any) -> int:
    """A bigint: a writer may choose any for a staged row. Raises ValueError."""
    if not isinstance(value, int) or not -BIGGEST - 1 <= value <= BIGGEST:
        raise ValueError("no number")
    return value


def _name(value: str | None) -> str:
    """The name of a constraint; empty where it can't be one."""
    if value is None or len(value) > LONGEST_NAME:
        return ""
    return one_line(value)[:LONGEST_NAME]


def _moment(value: Any) -> datetime | None:
    """Return the time that a server has noted; None if no clock can have shown it.

    If the server's clock is somewhat ahead of ours, the time would be in the future: now counts.
    """
    now = datetime.now(UTC)
    if not isinstance(value, datetime) or value.tzinfo is None:
        return None
    return min(value, now) if EARLIEST <= value < now + CLOCK_DIFFERENCE else None


def _payload(text: str | None, kind: Kind) -> Payload | None:
    """The row as `Kind.payload` writes it, secrets masked; None if it is none."""
    if text is None or len(text) > LONGEST_PAYLOAD:
        return None
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError):  # also: a number of more digits than Python reads
        return None
    if not isinstance(payload, dict) or not payload or not payload.keys() <= {*kind.names}:
        return None
    for value in payload.values():
        is_storable_text = isinstance(value, str) and not UNSTORABLE.search(value)
        if value is not None and not is_storable_text:
            return None
    return {
        name: MASK if name in kind.secrets and value is not None else value
        for name, value in payload.items()
    }


@dataclass(frozen=True)
class RowName:
    """The name of a staged row, the same in every database."""

    changeset: str
    row: int


class Rejects:
    """Writes and reads the rejects of positions."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, kind: Kind, position: Position, version: str) -> None:
        """Write the rejects of the chunk in `incoming`, whose lines are in `line`."""
        values = {"origin": position.origin, "kind": kind.name, "version": version}
        self.database.execute(ADD.format(payload=kind.payload), values)

    def add_gone(self, position: Position, version: str, rows: Sequence[RowName]) -> None:
        """Note these rows as closed: they were deleted by hand."""
        if rows:
            values = [position.origin, position.kind, DISCARDED, version, *_columns(rows)]
            self.database.execute(ADD_GONE, values)

    def discard(self, position: Position, version: str, rows: Sequence[RowName]) -> int:
        """Close those of these rejects that are open, as discarded; return how many."""
        values = [DISCARDED, version, *_columns(rows), position.origin, position.kind]
        return self.database.execute(DISCARD, values)

    def forget(self, position: Position) -> None:
        """Remove all rejects, and which amounts are in effect: the vendor's tables are new."""
        self.database.execute(FORGET, {"origin": position.origin, "kind": position.kind})

    def changed_in(self, kind: Kind, position: Position, version: str) -> Iterator[Reject]:
        """Yield the rejects, open now or before, that the transaction with this version changed."""
        return self._read(CHANGED_IN, kind, [position.origin, kind.name, version])

    def open(self, kind: Kind, origin: str) -> Iterator[Reject]:
        """Yield the open rejects. Raises REJECTS_UNREADABLE."""
        return self._read(OPEN, kind, [origin, kind.name])

    def named(self, kind: Kind, origin: str, rows: Sequence[RowName]) -> Iterator[Reject]:
        """Yield those of these rejects that exist."""
        return self._read(NAMED, kind, [*_columns(rows), origin, kind.name])

    def of_changeset(self, kind: Kind, origin: str, changeset: str) -> set[int]:
        """Return the rows of a changeset that have a reject, open or closed."""
        rows = self.database.rows(OF_CHANGESET, [origin, kind.name, changeset], most=LONG_LIST)
        return {row for (row,) in rows}

    def count_open_of(self, kind: Kind, origin: str, changeset: str) -> int:
        """Return how many rows of a changeset have an open reject."""
        return int(self.database.value(COUNT_OPEN_OF, [origin, kind.name, changeset]))

    def count(self, kind: Kind, origin: str) -> tuple[int, int]:
        """Return how many rejects there are, and how many of them are open."""
        total, open_ = self.database.only_row(COUNT, [origin, kind.name])
        return int(total), int(open_)

    def _read(self, statement: str, kind: Kind, values: list[Any]) -> Iterator[Reject]:
        """Yield the rejects that a statement finds: READ with a condition.

        Raises REJECTS_UNREADABLE where a row has no proper name.
        """
        for row in self.database.stream("rejects", statement, values):
            try:
                reject = _read(row, kind)
            except (TypeError, ValueError, AttributeError):
                raise TransferError(REJECTS_UNREADABLE, database=self.database.name) from None
            yield reject


def _columns(rows: Sequence[RowName]) -> tuple[list[str], list[int]]:
    return [one.changeset for one in rows], [one.row for one in rows]
