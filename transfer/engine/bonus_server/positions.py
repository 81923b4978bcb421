"""The position, the receipts and the exceptions in a bonus server's database.

All of them change in the transaction that changes the vendor's tables, and only while the position
is locked. Whoever changes them draws a new `version`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from psycopg2 import errors

from transfer.causes.ledger import POSITION_INVALID
from transfer.causes.runs import ALREADY_RUNNING
from transfer.engine.bonus_server.schema import is_complete
from transfer.engine.kind import Kind
from transfer.engine.postgres.answer_size import LONG_LIST
from transfer.engine.postgres.database import Database, array
from transfer.engine.received import (
    MOST_ROWS,
    WHOLE,
    Beginning,
    Exceptions,
    Place,
    Position,
    Receipt,
    Totals,
    is_bigint,
    is_count,
    is_sum,
    is_uuid,
)
from transfer.errors import AlreadyRunning, TransferError

MOST_INCOMPLETE = 100_000
"""More changesets than can have been withdrawn before a server read them, or were read in part."""

MOST_EXCEPTIONS = 2_000_000
"""More changesets than a server passes between two backups of shop All."""

FIELDS = """
    origin::text, kind, server::text, number, mark::text, version::text, rows_applied,
    rows_unchanged, rows_rejected, amount_applied, amount_rejected, uncounted_applied,
    uncounted_unchanged, uncounted_rejected, uncounted_amount_applied, uncounted_amount_rejected,
    began_as, began_number, began_mark::text, began_by, began_at
"""
# The table of positions has a row for each origin and kind: statements read all of it, or one row
# by its primary key.
OF_KIND = "from datatransfer.position where origin = %s and kind = %s"
GET = f"select {FIELDS} {OF_KIND} limit 1"
LOCK = f"select {FIELDS} {OF_KIND} for update nowait"
# The same, after whoever moves it has ended.
GET_SETTLED = f"select {FIELDS} {OF_KIND} for update"
# The same, and whether it has exceptions. By the primary keys.
GET_IF_EXCEPTIONS = f"""
    select {FIELDS},
           exists (select from datatransfer.exception
                    where exception.origin = position.origin and exception.kind = position.kind)
      {OF_KIND} limit 1
"""
# The session that has locked a position: program, process, address, since when. The locker of a row
# is its xmax. By the primary key.
HOLDER = """
    select a.application_name, a.pid, a.client_addr, a.xact_start
      from datatransfer.position as p
      join pg_stat_activity as a on a.backend_xid::text = p.xmax::text
     where p.origin = %s and p.kind = %s
"""
# Positions of the kind under any origin.
ORIGINS = "select origin::text from datatransfer.position where kind = %s limit 100"
OF_ALL_KINDS = f"select {FIELDS} from datatransfer.position where origin = %s"

# Writes a position where there is none.
BEGIN = """
    insert into datatransfer.position (origin, kind, server, number, mark, version, began_as,
                                       began_number, began_mark, began_by)
    values (%(origin)s, %(kind)s, %(server)s, %(number)s, %(mark)s, %(version)s, %(how)s,
            %(number)s, %(mark)s, %(by)s)
"""
# Moves the position if its version is still the one that was read.
ADVANCE = """
    update datatransfer.position
       set number = %s, mark = %s, version = %s,
           rows_applied = rows_applied + %s, rows_unchanged = rows_unchanged + %s,
           rows_rejected = rows_rejected + %s, amount_applied = amount_applied + %s,
           amount_rejected = amount_rejected + %s, updated_at = now()
     where origin = %s and kind = %s and version = %s
"""
# Sets the totals of a position that has begun, and what of them does not count.
SET_TOTALS = """
    update datatransfer.position
       set rows_applied = %s, rows_unchanged = %s, rows_rejected = %s, amount_applied = %s,
           amount_rejected = %s, uncounted_applied = %s, uncounted_unchanged = %s,
           uncounted_rejected = %s, uncounted_amount_applied = %s, uncounted_amount_rejected = %s
     where origin = %s and kind = %s
"""
# A new version, for a transaction that changes exceptions or rejects and not the position.
TOUCH = """
    update datatransfer.position set version = %s, updated_at = now()
     where origin = %s and kind = %s and version = %s
"""
# Forgets a position with its receipts and exceptions. By the primary keys.
FORGET = """
    with where_ as (select %s::uuid as origin, %s::text as kind), receipts as (
        delete from datatransfer.receipt using where_
         where receipt.origin = where_.origin and receipt.kind = where_.kind
    ), exceptions as (
        delete from datatransfer.exception using where_
         where exception.origin = where_.origin and exception.kind = where_.kind
    )
    delete from datatransfer.position using where_
     where position.origin = where_.origin and position.kind = where_.kind
"""
# Gives a copy of a server a name of its own, by which it has received nothing yet.
RENAME = """
    update datatransfer.position
       set server = %s, version = %s, uncounted_applied = rows_applied,
           uncounted_unchanged = rows_unchanged, uncounted_rejected = rows_rejected,
           uncounted_amount_applied = amount_applied, uncounted_amount_rejected = amount_rejected
     where origin = %s and kind = %s and version = %s
"""

# Writes a receipt for the lines of one append that a chunk has passed.
ADD_RECEIPTS = """
    insert into datatransfer.receipt (origin, kind, last, mark, changesets, rows, amounts)
    values (%s, %s, %s, %s, %s::uuid[], %s::bigint[], %s::numeric[])
"""
# The places that receipts name, the last first. By the primary key.
PLACES = """
    select last, mark::text from datatransfer.receipt where origin = %s and kind = %s
     order by last desc
"""
# Changesets that were passed above a line, and are received all the same. By the primary key.
NAME_ABOVE = """
    insert into datatransfer.exception (origin, kind, changeset, last, rows, amount, at)
    select distinct on (passed.changeset) origin, kind, passed.changeset, %(whole)s, passed.rows,
           passed.amount, receipt.at
      from datatransfer.receipt
     cross join unnest(changesets, receipt.rows, amounts) as passed (changeset, rows, amount)
     where origin = %(origin)s and kind = %(kind)s and receipt.last > %(number)s
       and passed.changeset <> '00000000-0000-0000-0000-000000000000'
        on conflict do nothing
"""
# The changesets above a line of which rows were received, in parts. By the primary keys.
RECEIVED_ABOVE = """
    select changeset::text
      from datatransfer.receipt cross join unnest(changesets) as changeset
     where receipt.origin = %(origin)s and receipt.kind = %(kind)s and receipt.last > %(number)s
       and changeset <> '00000000-0000-0000-0000-000000000000'
       and not exists (select from datatransfer.exception
                        where exception.origin = receipt.origin and exception.kind = receipt.kind
                          and exception.changeset = changeset.changeset
                          and exception.last = %(nothing)s)
"""
FORGET_ABOVE = "delete from datatransfer.receipt where origin = %s and kind = %s and last > %s"

# Incomplete exceptions, by the index on them; a row of nulls if there are others.
EXCEPTIONS = """
    (select changeset::text, last from datatransfer.exception
      where origin = %(origin)s and kind = %(kind)s and last < 9223372036854775807 and not skipped
      limit %(most)s)
    union all
    select null, null
     where exists (select from datatransfer.exception
                    where origin = %(origin)s and kind = %(kind)s
                      and (last = 9223372036854775807 or skipped))
"""
# The exceptions of these changesets. By the primary key.
EXCEPTIONS_OF = """
    select changeset::text, last, skipped from datatransfer.exception
     where origin = %s and kind = %s and changeset = any(%s::uuid[])
"""
# All exceptions, and the rows and sums of those that were received above a fork.
ALL_EXCEPTIONS = """
    select changeset::text, last, skipped, rows, amount, at from datatransfer.exception
     where origin = %s and kind = %s limit %s
"""
SET_EXCEPTIONS = """
    insert into datatransfer.exception as held (origin, kind, changeset, last, skipped)
    select %s, %s, changeset, last, %s
      from unnest(%s::uuid[], %s::bigint[]) as row (changeset, last)
        on conflict (origin, kind, changeset) do update
       set last = excluded.last, skipped = held.skipped or excluded.skipped, at = now()
"""
# Adds to what was received of a changeset that is read in parts. By the primary key.
ADD_RECEIVED = """
    update datatransfer.exception
       set rows = coalesce(rows, 0) + %s, amount = coalesce(amount, 0) + %s
     where origin = %s and kind = %s and changeset = %s
"""
DELETE_EXCEPTIONS = """
    delete from datatransfer.exception
     where origin = %s and kind = %s and changeset = any(%s::uuid[]) and not skipped
"""


@dataclass(frozen=True)
class ReceivedOf:
    """What a server has received of one changeset, whatever its position says.

    `rows` and `amount` are what was received of it: None of one that was withdrawn before. `at`:
    when.
    """

    last: int
    skipped: bool
    rows: int | None = None
    amount: Decimal | None = None
    at: datetime | None = None

    @property
    def settled(self) -> int:
        """The last row that the server does not wait for: WHOLE also if it is skipped."""
        return WHOLE if self.skipped else self.last


class Positions:
    """Reads and writes what a bonus server has received."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.has_tables = False  # once they exist, they stay

    def _is_complete(self) -> bool:
        self.has_tables = self.has_tables or is_complete(self.database)
        return self.has_tables

    # The position

    def get(self, origin: str, kind: Kind) -> Position | None:
        """Return the position, or None where there is none. Raises POSITION_INVALID."""
        if not self._is_complete():
            return None
        for row in self.database.rows(GET, [origin, kind.name]):
            return self._position(row)
        return None

    def get_with_exceptions(self, origin: str, kind: Kind) -> tuple[Position, Exceptions] | None:
        """Return the position and its exceptions, or None where there is no position.

        One query where there are no exceptions. Raises POSITION_INVALID.
        """
        if not self._is_complete():
            return None
        for *row, has_exceptions in self.database.rows(GET_IF_EXCEPTIONS, [origin, kind.name]):
            position = self._position(tuple(row))
            return position, self.exceptions(position) if has_exceptions else Exceptions()
        return None

    def of_all_kinds(self, origin: str) -> dict[str, Position]:
        """Return kind → position, of the kinds that have one. Raises POSITION_INVALID."""
        if not self._is_complete():
            return {}
        found = [self._position(row) for row in self.database.rows(OF_ALL_KINDS, [origin])]
        return {position.kind: position for position in found}

    def lock(self, origin: str, kind: Kind) -> Position | None:
        """Return the position, locked until the transaction ends. Raises AlreadyRunning."""
        with self.database.explained(), self.database.connection.cursor() as cursor:
            try:
                cursor.execute(LOCK, [origin, kind.name])
                rows = cursor.fetchall()
            except errors.LockNotAvailable:
                self.database.connection.rollback()
                raise AlreadyRunning(ALREADY_RUNNING, holder=self._holder(origin, kind)) from None
        return self._position(rows[0]) if rows else None

    def version_once_settled(self, origin: str, kind: Kind) -> str | None:
        """Return the version of the position, after the transaction that moves it has ended."""
        for row in self.database.rows(GET_SETTLED, [origin, kind.name]):
            return self._position(row).version
        return None

    def _holder(self, origin: str, kind: Kind) -> str:
        for application, pid, address, since in self.database.rows(HOLDER, [origin, kind.name]):
            where = f"{address}, " if address else ""
            return f"{application} ({where}pid {pid}, {since:%H:%M:%S} UTC)"
        return "?"

    def origins(self, kind: Kind) -> list[str]:
        """Return the shop Alls under which the server has a position of the kind."""
        if not self._is_complete():
            return []
        return [origin for (origin,) in self.database.rows(ORIGINS, [kind.name])]

    def begin(self, position: Position) -> None:
        """Write a position where there is none; the caller commits."""
        values = {
            "origin": position.origin,
            "kind": position.kind,
            "server": position.server,
            "number": position.place.number,
            "mark": position.place.mark,
            "version": position.version,
            "how": position.beginning.how,
            "by": position.beginning.by,
        }
        self.database.execute(BEGIN, values)

    def forget(self, position: Position) -> None:
        """Remove a position with its receipts and exceptions: another one begins in its place."""
        self.database.execute(FORGET, [position.origin, position.kind])

    def set_totals(self, position: Position) -> None:
        """Write the totals of a position that has begun, and what of them does not count."""
        totals = [*astuple(position.totals), *astuple(position.uncounted)]
        self.database.execute(SET_TOTALS, [*totals, position.origin, position.kind])

    def advance(self, before: Position, place: Place, version: str, gained: Totals) -> bool:
        """Move the position to a place; return whether its version was still that of `before`."""
        values = [place.number, place.mark, version, *astuple(gained)]
        where = [before.origin, before.kind, before.version]
        return self.database.execute(ADVANCE, [*values, *where]) == 1

    def touch(self, before: Position, version: str) -> bool:
        """Give the position this new version; return whether it was still that of `before`."""
        where = [before.origin, before.kind, before.version]
        return self.database.execute(TOUCH, [version, *where]) == 1

    def rename(self, before: Position, server: str) -> bool:
        """Give the position of a copy a server name of its own; return whether it was unchanged."""
        where = [before.origin, before.kind, before.version]
        return self.database.execute(RENAME, [server, str(uuid4()), *where]) == 1

    def _position(self, row: tuple[Any, ...]) -> Position:
        """Return the position of a row. Raises POSITION_INVALID where no transfer has written it.

        The table is in the server's database, whose administrator can write anything into it.
        """
        names = (
            *("origin", "kind", "server", "number", "mark", "version", *_TOTALS, *_UNCOUNTED),
            *("began_as", "began_number", "began_mark", "began_by", "began_at"),
        )
        fields = dict(zip(names, row, strict=True))
        if wrong := [name for name, value in fields.items() if not _is_possible(name, value)]:
            raise self._invalid(", ".join(wrong))
        beginning = Beginning(
            fields["began_as"],
            Place(fields["began_number"], fields["began_mark"]),
            fields["began_by"],
            fields["began_at"].isoformat(),
        )
        return Position(
            fields["origin"],
            fields["kind"],
            fields["server"],
            Place(fields["number"], fields["mark"]),
            fields["version"],
            Totals(*(fields[name] for name in _TOTALS)),
            beginning,
            Totals(*(fields[name] for name in _UNCOUNTED)),
        )

    def _invalid(self, column: str) -> TransferError:
        return TransferError(POSITION_INVALID, database=self.database.name, column=column)

    # Receipts

    def add_receipts(self, position: Position, receipts: Iterable[Receipt]) -> None:
        """Write these receipts."""
        for receipt in receipts:
            arrays = [array(receipt.changesets), array(receipt.rows), array(receipt.amounts)]
            values = [position.origin, position.kind, receipt.last, receipt.mark, *arrays]
            self.database.execute(ADD_RECEIPTS, values)

    def places(self, position: Position) -> list[Place]:
        """Return the places that receipts name, the last first. Raises POSITION_INVALID."""
        rows = self.database.rows(PLACES, [position.origin, position.kind], most=LONG_LIST)
        if not all(_is_possible("number", last) for last, _ in rows):
            raise self._invalid("receipt.last")
        if not all(is_uuid(mark) for _, mark in rows):
            raise self._invalid("receipt.mark")
        return [Place(last, mark) for last, mark in rows]

    def received_above(self, position: Position, number: int) -> list[str]:
        """Return the changesets that were passed above this line, and received at least in part.

        Raises POSITION_INVALID.
        """
        values = {
            "origin": position.origin,
            "kind": position.kind,
            "number": number,
            "nothing": -WHOLE - 1,
        }
        rows = self.database.rows(RECEIVED_ABOVE, values, most=LONG_LIST)
        if not all(is_uuid(name) for (name,) in rows):
            raise self._invalid("receipt.changesets")
        return [name for (name,) in rows]

    def go_back(self, position: Position, place: Place, version: str) -> bool:
        """Put the position back to a fork: what was passed above it is named, and not forgotten.

        Changesets of receipts above that have no exception become exceptions "all"; these receipts
        go. Returns whether the position was still the one that was read.
        """
        values = {
            "origin": position.origin,
            "kind": position.kind,
            "number": place.number,
            "whole": WHOLE,
        }
        self.database.execute(NAME_ABOVE, values)
        self.database.execute(FORGET_ABOVE, [position.origin, position.kind, place.number])
        return self.advance(position, place, version, Totals())

    # Exceptions

    def exceptions(self, position: Position) -> Exceptions:
        """Return the incomplete exceptions, and if there are others. Raises POSITION_INVALID."""
        most = MOST_INCOMPLETE + 1
        values = {"origin": position.origin, "kind": position.kind, "most": most}
        rows = self.database.rows(EXCEPTIONS, values, most=LONG_LIST)
        incomplete = {name: last for name, last in rows if name is not None}
        if len(incomplete) > MOST_INCOMPLETE:
            raise self._invalid("exception")
        if not all(is_uuid(name) and is_bigint(last) for name, last in incomplete.items()):
            raise self._invalid("exception.changeset, exception.last")
        return Exceptions(incomplete, others=len(incomplete) < len(rows))

    def exceptions_of(self, position: Position, changesets: Sequence[str]) -> dict[str, ReceivedOf]:
        """Return changeset → what was received of it, of those that have an exception.

        Raises POSITION_INVALID.
        """
        values = [position.origin, position.kind, array(changesets)]
        rows = self.database.rows(EXCEPTIONS_OF, values)
        if not all(is_bigint(last) and isinstance(skipped, bool) for _, last, skipped in rows):
            raise self._invalid("exception.last, exception.skipped")
        return {name: ReceivedOf(last, skipped) for name, last, skipped in rows}

    def all_exceptions(self, position: Position) -> dict[str, ReceivedOf]:
        """Return changeset → what was received of it, of all exceptions.

        Raises POSITION_INVALID.
        """
        where = [position.origin, position.kind, MOST_EXCEPTIONS + 1]
        rows = self.database.rows(ALL_EXCEPTIONS, where, most=LONG_LIST)
        if len(rows) > MOST_EXCEPTIONS or not all(_is_exception(*row) for row in rows):
            raise self._invalid("exception")
        return {name: ReceivedOf(*rest) for name, *rest in rows}

    def lasts(self, position: Position) -> dict[str, int]:
        """Return changeset → the last row that the server does not wait for, of all exceptions."""
        exceptions = self.exceptions(position)
        if not exceptions.others:
            return dict(exceptions.incomplete)
        return {name: one.settled for name, one in self.all_exceptions(position).items()}

    def set_exceptions(
        self, position: Position, lasts: Mapping[str, int], *, skipped: bool = False
    ) -> None:
        """Note changeset → last row received; with `skipped`, it never gets the others."""
        if lasts:
            where = [position.origin, position.kind, skipped]
            self.database.execute(SET_EXCEPTIONS, [*where, array(lasts), array(lasts.values())])

    def add_received(self, position: Position, changeset: str, rows: int, amount: Decimal) -> None:
        """Add to what was received of a changeset that is read in parts, and has an exception."""
        values = [rows, amount, position.origin, position.kind, changeset]
        self.database.execute(ADD_RECEIVED, values)

    def delete_exceptions(self, position: Position, changesets: Sequence[str]) -> None:
        """Remove exceptions of changesets that the position says rightly by now."""
        if changesets:
            values = [position.origin, position.kind, array(changesets)]
            self.database.execute(DELETE_EXCEPTIONS, values)


_TOTALS = ("rows_applied", "rows_unchanged", "rows_rejected", "amount_applied", "amount_rejected")
_UNCOUNTED = (
    *("uncounted_applied", "uncounted_unchanged", "uncounted_rejected"),
    *("uncounted_amount_applied", "uncounted_amount_rejected"),
)


def _is_possible(name: str, value: Any) -> bool:
    """Return whether a transfer can have written this value into a column of a position."""
    if name in ("rows_applied", "rows_unchanged", "rows_rejected", "number", "began_number"):
        return isinstance(value, int) and 0 <= value <= MOST_ROWS
    if name in ("uncounted_applied", "uncounted_unchanged", "uncounted_rejected"):
        return isinstance(value, int) and abs(value) <= MOST_ROWS
    if "amount" in name:
        return isinstance(value, Decimal | int) and Decimal(value).is_finite()
    if name == "began_at":
        return isinstance(value, datetime) and value.tzinfo is not None
    if name in ("began_as", "began_by", "kind"):
        return isinstance(value, str) and len(value) <= 200
    return is_uuid(value)


def _is_exception(name: Any, last: Any, skipped: Any, rows: Any, amount: Any, at: Any) -> bool:
    """Return whether a transfer can have written this exception."""
    return (
        is_uuid(name)
        and is_bigint(last)
        and isinstance(skipped, bool)
        and is_count(rows)
        and is_sum(amount)
        and (at is None or isinstance(at, datetime))
    )
