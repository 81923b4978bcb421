"""Streams the rows of a query from shop All into a table of a bonus server's session.

They go by binary COPY through a pipe and never become Python objects.
"""

import fcntl
import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, BinaryIO

from psycopg2 import errors, sql

from transfer.causes.ledger import ROWS_LOST_ON_THE_WAY
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError

BUFFER = 1 << 16
PIPE = 1 << 20  # the most that every user may have; holds more than half of a chunk

# Sends the rows of a query.
SEND = "copy ({query}) to stdout (format binary)"
# Receives them in a table.
RECEIVE = "copy {table} from stdin (format binary)"

# A character that the server's encoding lacks, or bytes that are no character at all.
UNREADABLE = (errors.UntranslatableCharacter, errors.CharacterNotInRepertoire)


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
    sending.reader.database = target.database
    try:
        with sending.received as rows:
            received = _receive(sending, target, statement, rows)
    except BaseException:
        sending.abandon()
        raise
    sent = sending.result()
    if sent != received:
        raise TransferError(ROWS_LOST_ON_THE_WAY, sent=sent, received=received)
    return received


def _receive(
    sending: "Sending", target: BonusDatabase, statement: sql.Composed, rows: BinaryIO
) -> int:
    try:
        with target.database.explained(), target.database.connection.cursor() as cursor:
            sending.begin()
            try:
                cursor.copy_expert(statement, rows, BUFFER)
            except UNREADABLE as error:
                raise TextUnreadable from error
            return int(cursor.rowcount)
    except BaseException:
        # The source notes its error before it closes its end of the pipe.
        if sending.error is not None:
            raise SourceFailed from sending.error
        raise


class PipeEnd(io.FileIO):
    """An end of our own pipe: the database's deadline is paused while it waits for the other."""

    def __init__(self, number: int, mode: str, database: Database | None = None) -> None:
        super().__init__(number, mode)
        self.database = database

    def readinto(self, buffer: Any) -> int:
        with self.database.waits_for_us() if self.database else nullcontext():
            return super().readinto(buffer)

    def write(self, data: Any) -> int:
        with self.database.waits_for_us() if self.database else nullcontext():
            return super().write(data)


class Sending(threading.Thread):
    """The source's half of a stream, in a thread; begun ahead, it waits at a full pipe."""

    def __init__(self, source: ShopAll, query: sql.Composed) -> None:
        super().__init__(name="source", daemon=True)
        self.source = source
        self.statement = sql.SQL(SEND).format(query=query)
        reader, writer = os.pipe()
        with suppress(OSError):  # its user has many pipes: the usual size will do
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE)
        self.reader = PipeEnd(reader, "rb")
        self.received = io.BufferedReader(self.reader, BUFFER)
        self.rows = io.BufferedWriter(PipeEnd(writer, "wb", source.database), BUFFER)
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
                cursor.copy_expert(self.statement, self.rows, BUFFER)
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
        self.received.close()
        if self.is_alive():
            self.source.database.hang_up()
            self.join()
        self.source.database.close()

    def drop(self) -> None:
        """Abandons the stream unless its rows were read to the end."""
        if not self.received.closed:
            self.abandon()
