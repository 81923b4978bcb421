"""Streams the rows of a query from shop All into `incoming`, a temporary table of a bonus server's
session.

They go by binary COPY, in blocks of bytes, and never become Python objects.
"""

import io
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from psycopg2 import errors, sql

from transfer.causes.ledger import ROWS_LOST_ON_THE_WAY
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.move.dependents import CREATE as CREATE_DEPENDENT
from transfer.engine.move.refused_rows import Bisection
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.rows import Reading
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError

BLOCK = 1 << 16  # bytes
MOST_HELD = 1 << 20
"""How many bytes of rows wait in memory, at most a block more."""
# Sends the rows of a query.
SEND = "copy ({query}) to stdout (format binary)"
# Receives them in a table.
RECEIVE = "copy {table} from stdin (format binary)"
# A character that the server's encoding lacks, or bytes that are no character at all.
UNREADABLE = (errors.UntranslatableCharacter, errors.CharacterNotInRepertoire)

# Makes the temporary tables of a chunk new and empty.
CREATE = """
    drop table if exists pg_temp.incoming, pg_temp.dependent, pg_temp.decided, pg_temp.outcome,
                         pg_temp.taken, pg_temp.line;
    {create}; {create_dependent}; savepoint empty
"""
# Empties them again.
EMPTY = "rollback to savepoint empty"
# How many rows of each line have arrived. Reads `incoming` once, from end to end.
COUNT_BY_LINE = "select number, count(*) from pg_temp.incoming group by number"
# A table like `incoming`, whose texts are bytes.
CREATE_RAW = """
    create temporary table raw (number bigint, "row" bigint, {columns}, fault text) on commit drop
"""
# Converts rows. Reads the table, or the range that `rows` names by an index (see `Bisection`).
CONVERT = "insert into pg_temp.incoming ({names}) select {values} from pg_temp.raw where {rows}"
# The name of a row that can't be converted.
PLACE = 'select number, "row" from pg_temp.raw where {row}'
# Its reject, without the texts.
REJECT = """
    insert into pg_temp.incoming ({names}, fault, sqlstate, as_json)
    select {names}, 'refused_by_server', %s, %s from pg_temp.raw where {row}
"""
# Ends the table of bytes.
DROP_RAW = "drop table pg_temp.raw"
ROW_NAME = ("number", '"row"')


class TextUnreadable(Exception):
    """The target's encoding lacks a character of a row; the stream has ended."""


class SourceFailed(Exception):
    """Shop All could not send the rows, or say what belongs to them. `__cause__` says why."""


@contextmanager
def as_source_failure() -> Iterator[None]:
    """Marks errors within as shop All's, since those of a stream begun ahead are tried again."""
    try:
        yield
    except TransferError as error:
        raise SourceFailed from error


def stream_rows(sending: "Sending", target: BonusDatabase, into: sql.Composable) -> int:
    """Streams rows into a table, and returns how many arrived.

    A source that dies in mid-stream may look like a clean end to the target, so both sides' counts
    are compared; where it looks like nonsense to the target, the source's own error counts.

    Raises TextUnreadable, SourceFailed, ROWS_LOST_ON_THE_WAY, or what the target raises.
    """
    statement = sql.SQL(RECEIVE).format(table=into)
    try:
        with sending.held.taken_for(target.database):
            received = _receive(sending, target, statement)
    except BaseException:
        sending.abandon()
        raise
    sent = sending.result()
    if sent != received:
        raise TransferError(ROWS_LOST_ON_THE_WAY, sent=sent, received=received)
    return received


def _receive(sending: "Sending", target: BonusDatabase, statement: sql.Composed) -> int:
    try:
        with target.database.explained(), target.database.connection.cursor() as cursor:
            sending.begin()
            try:
                cursor.copy_expert(statement, sending.held, BLOCK)
            except UNREADABLE as error:
                raise TextUnreadable from error
            return int(cursor.rowcount)
    except BaseException:
        # The source notes its error before it ends the rows.
        if sending.error is not None:
            raise SourceFailed from sending.error
        raise


class HeldRows(io.RawIOBase):
    """The rows between the thread that gets them from shop All and the one that sends them on.

    The one writes blocks of bytes and waits while MOST_HELD are held; the other reads them and
    waits for the next. While a thread waits, the deadline of its own database is paused.
    """

    def __init__(self, source: Database) -> None:
        super().__init__()
        self.source = source
        self.target: Database | None = None
        self.blocks: deque[bytes] = deque()
        self.size = 0
        self.is_whole = False
        self.is_wanted = True
        self.changed = threading.Condition()

    @contextmanager
    def taken_for(self, target: Database) -> Iterator[None]:
        """Within the block, this database reads the rows. At its end the rest is dropped."""
        self.target = target
        try:
            yield
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Drop the rows, and refuse further ones: see `write`."""
        with self.changed:
            self.is_wanted = False
            self.blocks.clear()
            self.changed.notify_all()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Hold a block. Raises BrokenPipeError after `abandon`."""
        block = bytes(data)
        with self.source.waits_for_us(), self.changed:
            self.changed.wait_for(lambda: self.size < MOST_HELD or not self.is_wanted)
            if not self.is_wanted:
                raise BrokenPipeError
            self.blocks.append(block)
            self.size += len(block)
            self.changed.notify_all()
        return len(block)

    def read(self, _size: int = -1) -> bytes:
        """Return the next block, of any size; nothing where the rows end."""
        with self.target.waits_for_us() if self.target else nullcontext(), self.changed:
            self.changed.wait_for(lambda: self.blocks or self.is_whole or not self.is_wanted)
            block = self.blocks.popleft() if self.blocks else b""
            self.size -= len(block)
            self.changed.notify_all()
        return block

    def close(self) -> None:
        """Say that no more rows come; those that are held can still be read."""
        with self.changed:
            self.is_whole = True
            self.changed.notify_all()
        super().close()


class Sending(threading.Thread):
    """The half of a stream that reads shop All, in a thread. It waits while MOST_HELD are held."""

    def __init__(self, source: ShopAll, query: sql.Composed) -> None:
        super().__init__(name="source", daemon=True)
        self.source = source
        self.statement = sql.SQL(SEND).format(query=query)
        self.held = HeldRows(source.database)
        self.rows = io.BufferedWriter(self.held, BLOCK)
        self.sent = 0
        self.error: BaseException | None = None

    def begin(self) -> None:
        if self.ident is None:
            self.start()

    def run(self) -> None:
        try:
            with (
                self.source.database.explained(),
                self.source.database.connection.cursor() as cursor,
            ):
                cursor.copy_expert(self.statement, self.rows, BLOCK)
                self.sent = cursor.rowcount
            self.rows.flush()
        except BaseException as error:
            self.error = error  # result() raises it in the thread that waits
        finally:
            # The target sees the end of the stream only now that the error is known.
            try:
                self.rows.close()
            except BrokenPipeError as error:
                self.error = self.error or error

    def result(self) -> int:
        """How many rows the source sent. Raises SourceFailed."""
        self.join()
        if self.error is not None:
            raise SourceFailed from self.error
        return self.sent

    def abandon(self) -> None:
        """Breaks off the source's statement: its rows are not read any more."""
        self.held.abandon()
        if self.is_alive():
            self.source.database.hang_up()
            self.join()
        self.source.database.close()

    def drop(self) -> None:
        """Abandons the stream unless its rows were read to the end."""
        if self.held.is_wanted:
            self.abandon()


# The receiving half of a stream: the temporary tables of a chunk.


@dataclass(frozen=True)
class Arrived:
    """What is in `incoming`: how many rows, and how many of each line, by its number."""

    rows: int
    of_lines: Mapping[int, int]


def create_tables(kind: Kind, target: BonusDatabase) -> None:
    """Make the temporary tables of a chunk new and empty."""
    target.database.execute(CREATE.format(create=kind.incoming, create_dependent=CREATE_DEPENDENT))


def empty_tables(target: BonusDatabase) -> None:
    """Empty them again, also where a statement has failed since they were created."""
    target.database.execute(EMPTY)


def receive_rows(kind: Kind, reading: Reading, sending: Sending, target: BonusDatabase) -> Arrived:
    """Fill `incoming` with the rows that are sent; return how many arrived.

    Raises what `stream_rows` raises.
    """
    names = ", ".join([*ROW_NAME, *kind.sent])
    rows = stream_rows(sending, target, sql.SQL(f"pg_temp.incoming ({names})"))
    return _arrived(reading, rows, target)


def _arrived(reading: Reading, rows: int, target: BonusDatabase) -> Arrived:
    if len(reading.lines) == 1:
        return Arrived(rows, {reading.lines[0].number: rows})
    return Arrived(rows, dict(target.database.rows(COUNT_BY_LINE)))


def receive_as_bytes(
    kind: Kind, reading: Reading, sending: Sending, target: BonusDatabase
) -> Arrived:
    """Do the same where the target's encoding lacks a character of some row, which is rejected.

    1. The texts arrive as they are on the wire, UTF-8, in columns of type bytea.
    2. They are converted row by row; halving finds the rows that can't be.
    """
    types = {column.name: column.carried_as for column in kind.columns}
    if kind.appends:
        types["first"] = "numeric"
    texts = {name for name, type_ in types.items() if type_ == "text"}
    names = ", ".join([*ROW_NAME, *types, "fault"])
    others = ", ".join([*ROW_NAME, *(name for name in types if name not in texts)])
    columns = ", ".join(f"{name} {'bytea' if name in texts else types[name]}" for name in types)
    target.database.execute(CREATE_RAW.format(columns=columns))
    received = stream_rows(sending, target, sql.SQL(f"pg_temp.raw ({names})"))
    read = [f"convert_from({name}, 'UTF8')" if name in texts else name for name in types]
    values = ", ".join([*ROW_NAME, *read, "fault"])

    def convert(rows: str) -> str:
        return CONVERT.format(names=names, values=values, rows=rows)

    def refuse(row: str, sqlstate: str, constraint: str | None) -> None:
        number, row_name = target.database.only_row(PLACE.format(row=row))
        with as_source_failure():
            as_json = sending.source.rows.row_as_json(kind, number, row_name)
        target.database.execute(REJECT.format(names=others, row=row), [sqlstate, as_json])

    Bisection(target, "pg_temp.raw", [convert], refuse).run()
    target.database.execute(DROP_RAW)
    return _arrived(reading, received, target)
