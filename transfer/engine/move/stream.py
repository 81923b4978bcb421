"""Streams the rows of a query from shop All to a bonus server. No Django.

They go by binary COPY through a pipe and never become Python objects.
"""

import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import suppress

import psycopg2
from psycopg2 import errors, sql

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import RowsLostOnTheWay
from transfer.engine.kinds import Kind
from transfer.engine.move.refusals import Bisection
from transfer.engine.shop_all.reader import ShopAll

BUFFER = 1 << 16
PIPE = 1 << 20  # what every user may have: more than half of a chunk that is sent ahead

# A character that the server's encoding lacks, or bytes that are no character at all.
UNREADABLE = (errors.UntranslatableCharacter, errors.CharacterNotInRepertoire)


Objects = Callable[[psycopg2.Error], bool]


class Refused(Exception):
    """The target objected to a row, and stopped the stream."""


def is_unreadable(error: psycopg2.Error) -> bool:
    return isinstance(error, UNREADABLE)


def receive(kind: Kind, sending: "Sending", target: BonusDatabase) -> int:
    """Fills `incoming` with the rows that are sent, and returns how many arrived.

    Raises Refused, when a text is none in the target's encoding, RowsLostOnTheWay, or what broke
    on either side.
    """
    names = ", ".join(["xid", "id", *kind.names, "fault"])
    return stream_rows(sending, target, sql.SQL(f"incoming ({names})"), is_unreadable)


def receive_bytes(kind: Kind, sending: "Sending", target: BonusDatabase) -> int:
    """The same, where the target's encoding can't take every text: rows with one are rejects.

    The texts come as they are on the wire, in UTF-8, and are read here, by halves.
    """
    types = {column.name: column.carried_as for column in kind.columns}
    texts = {name for name, type_ in types.items() if type_ == "text"}
    names = ", ".join(["xid", "id", *types, "fault"])
    others = ", ".join(["xid", "id", *(name for name in types if name not in texts)])
    body = ", ".join(f"{name} {'bytea' if name in texts else types[name]}" for name in types)
    target.execute(
        f"create temporary table raw (xid xid8, id bigint, {body}, fault text) on commit drop"
    )
    received = stream_rows(sending, target, sql.SQL(f"raw ({names})"), is_unreadable)
    values = [f"convert_from({name}, 'UTF8')" if name in texts else name for name in types]
    read = f"insert into incoming ({names}) select xid, id, {', '.join(values)}, fault from raw"

    def refuse(row: str, sqlstate: str, constraint: str | None) -> None:
        xid, id_ = target.one(f"select xid::text, id from raw where {row}")
        target.execute(
            f"insert into incoming ({others}, fault, sqlstate, as_json) "
            f"select {others}, 'refused_by_server', %s, %s from raw where {row}",
            [sqlstate, sending.source.row_as_json(kind, xid, id_)],
        )

    Bisection(target, "raw", [lambda rows: f"{read} where {rows}"], refuse).run()
    target.execute("drop table raw")
    return received


def stream_rows(
    sending: "Sending", target: BonusDatabase, into: sql.Composable, objects: Objects
) -> int:
    """Streams rows into a table, and returns how many arrived.

    Raises Refused where the target's error is one of those which `objects` tells. A source that
    dies in mid-stream may look like a clean end to the target, so both sides' counts are compared;
    where it looks like nonsense, the source's own error is raised.
    """
    statement = sql.SQL("copy {} from stdin (format binary)").format(into)
    try:
        with sending.received as rows:
            try:
                with target.explained(), target.connection.cursor() as cursor:
                    sending.begin()
                    try:
                        cursor.copy_expert(statement, rows, BUFFER)
                    except psycopg2.Error as error:
                        if objects(error):
                            raise Refused from error
                        raise
                    received = cursor.rowcount
            except BaseException:
                # What it noted before it closed its end came first.
                if sending.error is not None:
                    raise sending.error from None
                raise
    except BaseException:
        sending.abandon()
        raise
    sent = sending.result()
    if sent != received:
        raise RowsLostOnTheWay(sent=sent, received=received)
    return received


class Sending(threading.Thread):
    """The source's half of a stream, beside the target's; begun ahead, it waits at a full pipe."""

    def __init__(self, source: ShopAll, query: sql.Composed) -> None:
        super().__init__(name="source", daemon=True)
        self.source = source
        self.statement = sql.SQL("copy ({}) to stdout (format binary)").format(query)
        reader, writer = os.pipe()
        with suppress(OSError):  # its user has many of them: the usual size will do
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE)
        self.received = os.fdopen(reader, "rb", buffering=BUFFER)
        self.rows = os.fdopen(writer, "wb", buffering=BUFFER)
        self.sent = 0
        self.error: BaseException | None = None

    def begin(self) -> None:
        if self.ident is None:
            self.start()

    def run(self) -> None:
        try:
            with self.source.explained(), self.source.connection.cursor() as cursor:
                cursor.copy_expert(self.statement, self.rows, BUFFER)
                self.sent = cursor.rowcount
            self.rows.flush()
        except BaseException as error:
            self.error = error  # result() raises it in the thread that waits
        finally:
            self._close()

    def _close(self) -> None:
        """The target sees the end of the stream only now, when the error is known."""
        try:
            self.rows.close()
        except BrokenPipeError as error:
            self.error = self.error or error

    def result(self) -> int:
        """How many rows the source sent. Raises what stopped it."""
        self.join()
        if self.error is not None:
            raise self.error
        return self.sent

    def abandon(self) -> None:
        """Ends the source's statement, since nobody reads its rows any more."""
        self.received.close()
        if self.is_alive():
            self.source.cancel()
            self.join()
        self.source.close()

    def drop(self) -> None:
        """Does so where nobody has read them to their end."""
        if not self.received.closed:
            self.abandon()
