"""The positions in a bonus server's database."""

from collections.abc import Collection, Iterator
from dataclasses import astuple
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg2 import errors

from transfer.engine.bonus_server.schema import is_complete
from transfer.engine.errors import PositionInvalid, PositionOvertaken
from transfer.engine.kind import Kind
from transfer.engine.position import MOST_ROWS, NOTHING_READ, SNAPSHOT, Position, Totals
from transfer.engine.postgres.answer_size import FEW_ROWS
from transfer.engine.postgres.database import Database
from transfer.errors import AlreadyRunning

TOTALS = ("rows_applied", "rows_unchanged", "rows_rejected", "amount_applied", "amount_rejected")
NAMES = (
    *("origin", "kind", "read_through", "reading", "last_xid", "last_id", *TOTALS),
    *("purged_rows", "purged_amount", "reader", "number", "token", "purge_accepted"),
)
FIELDS = ", ".join(NAMES)
# Likewise, if our schema lacks columns: it is older than the log.
OLD_FIELDS = ", ".join([*NAMES[:13], "null", "0", "null", "0"])

# How many of a reader's rejects were removed: those written that are not in the table. By the
# primary key of rejects.
REMOVED = "%s - (select count(*) from datatransfer.reject as reject where reject.reader = %s)"

# The table of positions has a row for each origin and kind, so statements that do not name both
# read all of it.

# Writes a position, if there is none. By the primary key.
BEGIN = f"""
    insert into datatransfer.position ({FIELDS}, rejects_removed, updated_at)
    values ({", ".join(["%s"] * len(NAMES))}, {REMOVED}, coalesce(%s, now())) on conflict do nothing
"""

# Writes a position in place of another. By the primary key.
REPLACE = f"""
    update datatransfer.position set ({FIELDS}) = ({", ".join(["%s"] * len(NAMES))}),
           rejects_removed = {REMOVED}, updated_at = coalesce(%s, now())
     where origin = %s and kind = %s
"""

# Removes the reader's positions of earlier origins, before it gets another name: they would belong
# to no reader.
FORGET = """
    delete from datatransfer.position
     where kind = %s and origin <> %s
       and reader = (select reader from datatransfer.position where origin = %s and kind = %s)
       and reader <> %s
"""

# The totals of the reader's furthest position: a rebase hands a reader on to a position under
# another origin.
FURTHEST = """
    select rows_applied, rows_unchanged, rows_rejected, amount_applied, amount_rejected
      from datatransfer.position where kind = %s and reader = %s
     order by rows_applied + rows_unchanged + rows_rejected desc limit 1
"""

# Moves the position if it is where it was read. By the primary key.
ADVANCE = """
    update datatransfer.position
       set read_through = %s, reading = %s, last_xid = %s, last_id = %s, reader = %s, number = %s,
           token = %s,
           rows_applied = rows_applied + %s, rows_unchanged = rows_unchanged + %s,
           rows_rejected = rows_rejected + %s, amount_applied = amount_applied + %s,
           amount_rejected = amount_rejected + %s, updated_at = now()
     where origin = %s and kind = %s
       and read_through::text = %s and reading::text is not distinct from %s
       and last_xid::text is not distinct from %s and last_id is not distinct from %s
       and reader::text is not distinct from %s and number = %s
       and token::text is not distinct from %s
"""

# The session that has locked a position: program, process, address, since when. The locker of a row
# is its xmax. By the primary key.
HOLDER = """
    select a.application_name, a.pid, a.client_addr, a.xact_start
      from datatransfer.position as p
      join pg_stat_activity as a on a.backend_xid::text = p.xmax::text
     where p.origin = %s and p.kind = %s
"""

# Positions of some kinds. By the primary key.
POSITIONS = "select {fields} from datatransfer.position where origin = %s and kind = any(%s)"
WAIT_AND_LOCK = " for update"  # after POSITIONS
# One position, locked at once or not at all. By the primary key.
LOCK = f"""
    select {FIELDS} from datatransfer.position where origin = %s and kind = %s for update nowait
"""
# When it was last moved. By the primary key.
UPDATED_AT = "select updated_at from datatransfer.position where origin = %s and kind = %s"
# Gives a position from before the log its reader. By the primary key.
ADOPT = """
    update datatransfer.position set reader = %s, rejects_removed = rows_rejected
     where origin = %s and kind = %s and reader is null
"""
# Whether the table exists. By the catalogue.
HAS_TABLE = "select to_regclass('datatransfer.position') is not null"
# Whether it has a position of a kind.
EXISTS = "select exists (select from datatransfer.position where kind = %s)"
# Whether it has one of a reader under another origin.
EXISTS_ELSEWHERE = """
    select exists (
        select from datatransfer.position where kind = %s and reader = %s and origin <> %s)
"""

COUNTS = {
    **dict.fromkeys((*TOTALS[:3], "number"), MOST_ROWS),
    "purge_accepted": 2**63 - 1,  # purges are numbered by the time in microseconds
}
AMOUNTS = (*TOTALS[3:], "purged_amount")
# The identities of shop All that have a position of a kind. By the primary key.
ORIGINS = "select origin::text from datatransfer.position where kind = %s"


class Positions:
    """Reads, locks and moves the positions of a bonus server."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._is_complete = False  # once our tables are, they stay so

    def begin(self, position: Position, at: datetime | None = None) -> None:
        """Writes the first position of a staging database, if there is none yet; `at` is when it
        was moved there, where that isn't now.
        """
        self.database.execute(BEGIN, [*_values(position), *_rejected(position), at])

    def replace(self, position: Position, at: datetime | None = None) -> None:
        """Puts it where the administrator says that it was at `at`; the caller has locked it."""
        where = [position.origin, position.kind]
        self.database.execute(FORGET, [position.kind, position.origin, *where, position.reader])
        self.database.execute(REPLACE, [*_values(position), *_rejected(position), at, *where])

    def updated_at(self, position: Position) -> datetime:
        """When the position was last moved, by the clock of the bonus server."""
        at: datetime = self.database.value(UPDATED_AT, [position.origin, position.kind])
        return at

    def origins(self, kind: Kind) -> list[str]:
        """The identities of shop All under which the server has positions of the kind."""
        return [origin for (origin,) in self.database.rows(ORIGINS, [kind.name], most=FEW_ROWS)]

    def furthest(self, position: Position) -> Totals:
        """What its reader has seen, under any origin."""
        rows = self.database.rows(FURTHEST, [position.kind, position.reader])
        return Totals(*rows[0]) if rows else position.totals

    def rows_since(self, position: Position) -> int:
        """How many rows its reader has seen after a rebase that the position knows nothing of."""
        return self.furthest(position).read - position.totals.read

    def check_overtaken(self, position: Position) -> None:
        """Raises PositionOvertaken when its reader has gone on without it."""
        if since := self.rows_since(position):
            raise PositionOvertaken(rows=since)

    def adopt(self, origin: str, kind: str, reader: str) -> None:
        """Gives a position from before the log its reader; its rejects are in our own database."""
        self.database.execute(ADOPT, [reader, origin, kind])

    def get(self, origin: str, kind: Kind, *, wait: bool = False) -> Position | None:
        """The position; with `wait` locked, after a transaction that moves it has ended."""
        return self._positions(origin, [kind], WAIT_AND_LOCK if wait else "")[kind.name]

    def _positions(
        self, origin: str, kinds: Collection[Kind], lock: str = ""
    ) -> dict[str, Position | None]:
        self._is_complete = self._is_complete or is_complete(self.database)
        fields = FIELDS if self._is_complete else OLD_FIELDS
        names = [kind.name for kind in kinds]
        statement = POSITIONS.format(fields=fields) + lock
        rows = self.database.rows(statement, [origin, names], most=FEW_ROWS)
        held = {position.kind: position for position in map(self._position, rows)}
        return {name: held.get(name) for name in names}

    def existing(self, origin: str, kind: Kind) -> Position | None:
        """The position, where even our schema may be missing; in a transaction of its own."""
        return self.all_existing(origin, [kind])[kind.name]

    def all_existing(self, origin: str, kinds: Collection[Kind]) -> dict[str, Position | None]:
        """Likewise for several kinds."""
        with self.database.transaction(commit=False):
            if not self.database.value(HAS_TABLE):
                return dict.fromkeys(kind.name for kind in kinds)
            return self._positions(origin, kinds)

    def exist(self, kind: Kind) -> bool:
        """Whether it has a position of the kind, of any staging database; even our schema may be
        missing.
        """
        return bool(self.database.value(HAS_TABLE) and self.database.value(EXISTS, [kind.name]))

    def are_of_another_origin(self, kind: Kind, reader: str, origin: str) -> bool:
        """Whether the reader has a position of the kind under another origin than this one."""
        return bool(self.database.value(EXISTS_ELSEWHERE, [kind.name, reader, origin]))

    def lock(self, origin: str, kind: Kind) -> Position:
        """The position, locked until the transaction ends. Raises AlreadyRunning."""
        with self.database.explained(), self.database.connection.cursor() as cursor:
            try:
                cursor.execute(LOCK, [origin, kind.name])
                (row,) = cursor.fetchall()
            except errors.LockNotAvailable:
                self.database.connection.rollback()
                raise AlreadyRunning(holder=self._holder(origin, kind)) from None
        return self._position(row)

    def _position(self, row: tuple[Any, ...]) -> Position:
        """The reverse of `_values`. Raises PositionInvalid where no transfer has written it.

        The table is in the server's database, whose administrator can write anything into it.
        """
        values = (str(value) if isinstance(value, UUID) else value for value in row)
        fields: dict[str, Any] = dict(zip(NAMES, values, strict=True))
        if wrong := [*_impossible(fields)]:
            raise PositionInvalid(database=self.database.name, column=", ".join(wrong))
        totals, last_xid = Totals(*map(fields.pop, TOTALS)), fields.pop("last_xid")
        last_xid = None if last_xid is None else int(last_xid)
        return Position(**fields, totals=totals, last_xid=last_xid)

    def _holder(self, origin: str, kind: Kind) -> str:
        rows = self.database.rows(HOLDER, [origin, kind.name], most=FEW_ROWS)
        if not rows:
            return "?"
        application, pid, address, since = rows[0]
        where = f"{address}, " if address else ""
        return f"{application} ({where}pid {pid}, {since:%H:%M:%S} UTC)"

    def advance(self, before: Position, after: Position) -> bool:
        """Compare-and-set: moves the position if it still is `before`."""
        gained = astuple(after.totals - before.totals)
        where = [before.origin, before.kind, *_key(before)]
        return self.database.execute(ADVANCE, [*_key(after), *gained, *where]) == 1


def _rejected(position: Position) -> list[object]:
    """As REMOVED wants it."""
    return [position.totals.rejected, position.reader]


def _key(position: Position) -> list[object]:
    """The key in the order of ADVANCE, numbers of 64 bits without sign as text."""
    return [str(value) if isinstance(value, int) else value for value in position.key]


def _values(position: Position) -> list[object]:
    """The position in the order of NAMES, numbers of 64 bits without sign as text."""
    fields = vars(position) | dict(zip(TOTALS, astuple(position.totals), strict=True))
    fields["last_xid"] = None if position.last_xid is None else str(position.last_xid)
    return [fields[name] for name in NAMES]


def _impossible(fields: dict[str, Any]) -> Iterator[str]:
    """Yields the columns of a position whose values no transfer can have written."""
    for name, most in COUNTS.items():
        if not isinstance(fields[name], int) or not 0 <= fields[name] <= most:
            yield name
    # Below zero after a restore: more rows came back than had been purged before.
    if not isinstance(fields["purged_rows"], int) or abs(fields["purged_rows"]) > MOST_ROWS:
        yield "purged_rows"
    for name in AMOUNTS:
        if not isinstance(fields[name], Decimal | int) or not Decimal(fields[name]).is_finite():
            yield name
    for name in ("read_through", "reading"):
        if not SNAPSHOT.fullmatch(fields[name] or ("" if name == "read_through" else NOTHING_READ)):
            yield name
