"""Reads what a bonus server's table of rejects holds, and trusts none of it.

The table is ours, but it is in the server's database: its administrator can write anything into
it, or put a view in its place. A value that no transfer can have written becomes "unknown": such a
reject is shown, counted and can be discarded. The names of rows and rejects (numbers, UUIDs)
have no such replacement: where one of them is wrong, the table as a whole is refused.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from transfer.causes.ledger import REJECTS_UNREADABLE
from transfer.causes.rows import REASONS, UNKNOWN
from transfer.engine.kind import MASK, Kind
from transfer.errors import TransferError
from transfer.printable import one_line

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


def read_rejects(rows: Iterable[tuple[Any, ...]], kind: Kind, database: str) -> Iterator[Reject]:
    """Yield the rejects of rows that READ found.

    Raises REJECTS_UNREADABLE where a row has no proper name.
    """
    for row in rows:
        try:
            reject = _read(row, kind)
        except (TypeError, ValueError, AttributeError):
            raise TransferError(REJECTS_UNREADABLE, database=database) from None
        yield reject


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
    """A time that a clock can have shown; the server's may be somewhat ahead of ours."""
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
