"""Faults at exactly one statement of a process: it is killed, or its connection is cut, there.

`install` gives psycopg2 a connection class that counts what is sent over each connection, since
two of them may be busy at once, and acts when its turn comes. It is called in a process that exists
for one fault only.
"""

import contextlib
import os
import signal
import socket
import struct
import threading
from collections import Counter
from typing import Any, NamedTuple

import psycopg2
from psycopg2.extensions import (
    STATUS_BEGIN,
    parse_dsn,
)

from transfer.engine.postgres.connection import Connection as PlainConnection, Cursor as PlainCursor

KILL_BEFORE = "killed before"
KILL_WITHIN = "killed within"  # a COPY whose first rows are on their way
KILL_AFTER = "killed after"
CUT_BEFORE = "cut before"
CUT_WITHIN = "cut within"
LOSE_ANSWER = "answer lost"  # the server has done it, and its answer is lost

CONNECTING = (KILL_BEFORE, KILL_AFTER, CUT_BEFORE)
SENDING = (KILL_BEFORE, KILL_AFTER, CUT_BEFORE)
COPYING = (KILL_BEFORE, KILL_WITHIN, KILL_AFTER, CUT_BEFORE, CUT_WITHIN)
COMMITTING = (KILL_BEFORE, KILL_AFTER, CUT_BEFORE, LOSE_ANSWER)


class Fault(NamedTuple):
    """What happens at the statement with this number, from 0, of those sent over a connection.

    That is called by its database and which of it it is; to the database itself it is connected.
    """

    database: str
    number: int
    how: str


class Statement(NamedTuple):
    database: str
    number: int
    text: str
    faults: tuple[str, ...]  # what can happen there


class Recorder:
    def __init__(self, fault: Fault | None) -> None:
        self.fault = fault
        self.sent: list[Statement] = []
        self.counts: Counter[str] = Counter()
        self.lock = threading.Lock()

    def note(self, database: str, text: str, faults: tuple[str, ...]) -> str | None:
        """Counts a statement, and returns what is to happen to it."""
        with self.lock:
            number = self.counts[database]
            self.counts[database] += 1
            self.sent.append(Statement(database, number, " ".join(text.split())[:90], faults))
        if self.fault is not None and self.fault[:2] == (database, number):
            return self._possible(self.fault.how, faults)
        return None

    def _possible(self, how: str, faults: tuple[str, ...]) -> str | None:
        """Within happens to COPY alone, and an answer is lost where something ends."""
        if how in faults:
            return how
        other = KILL_BEFORE if how == KILL_WITHIN else CUT_BEFORE
        return other if other in faults else None


recorder = Recorder(None)


def install(fault: Fault | None) -> Recorder:
    """From now on every connection of this process is counted, and the fault happens once."""
    global recorder
    recorder = Recorder(fault)
    psycopg2.connect = connect
    return recorder


_connect = psycopg2.connect


def connect(dsn: str | None = None, **options: Any) -> PlainConnection:
    name = parse_dsn(dsn)["dbname"] if dsn else options.get("dbname") or options["database"]
    how = recorder.note(name, "connect", CONNECTING)
    if how == CUT_BEFORE:
        options["port"] = 1  # nobody listens there
    if how == KILL_BEFORE:
        kill()
    options["connection_factory"] = Connection
    made = _connect(dsn, **options)
    made.database = f"{name} {recorder.counts[name]}"
    if how == KILL_AFTER:
        kill()
    return made


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


class Connection(PlainConnection):
    database = ""

    def cursor(self, *arguments: Any, **options: Any) -> PlainCursor:
        options.setdefault("cursor_factory", Cursor)
        return super().cursor(*arguments, **options)

    def commit(self) -> None:
        if self.status == STATUS_BEGIN:
            self.send("COMMIT", super().commit, COMMITTING, b"COMMIT")
        else:  # sends nothing
            super().commit()

    def rollback(self) -> None:
        if self.status == STATUS_BEGIN and not self.closed:
            self.send("ROLLBACK", super().rollback, SENDING)
        else:
            super().rollback()

    def send(self, text: str, act: Any, faults: tuple[str, ...], query: bytes = b"") -> Any:
        how = recorder.note(self.database, text, faults)
        if how == KILL_BEFORE:
            kill()
        elif how == CUT_BEFORE:
            self.cut()
        elif how == LOSE_ANSWER:
            self.lose_answer(query)
        try:
            return act()
        finally:  # a statement that is refused was answered, too
            if how == KILL_AFTER:
                kill()

    def cut(self) -> None:
        with socket.socket(fileno=os.dup(self.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)

    def cut_within(self) -> None:
        """What the kernel holds of the stream is gone, too."""
        with socket.socket(fileno=os.dup(self.fileno())) as wire:
            wire.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while wire.recv(1 << 16):
                    pass
            wire.shutdown(socket.SHUT_RDWR)

    def lose_answer(self, query: bytes) -> None:
        """Has the server do it, and cuts the connection before libpq sees the answer.

        What libpq then does and says is its own: it sends the statement into the void.
        """
        with socket.socket(fileno=os.dup(self.fileno())) as wire:
            wire.setblocking(True)
            wire.sendall(b"Q" + struct.pack("!I", len(query) + 5) + query + b"\0")
            while _message(wire) != b"Z":  # ReadyForQuery
                pass
            wire.shutdown(socket.SHUT_RDWR)


def _message(wire: socket.socket) -> bytes:
    """Reads one message of the server, and returns its type."""
    head = wire.recv(5, socket.MSG_WAITALL)
    length = struct.unpack("!I", head[1:])[0] - 4
    if length:
        wire.recv(length, socket.MSG_WAITALL)
    return head[:1]


class Cursor(PlainCursor):
    @property
    def _connection(self) -> Connection:
        connection = self.connection
        assert isinstance(connection, Connection)
        return connection

    def execute(self, query: Any, variables: Any = None) -> None:
        if isinstance(query, bytes):  # of `execute_values`
            text = query.decode()
        else:
            text = query if isinstance(query, str) else query.as_string(self)
        # Alone, it is a transaction of its own.
        alone = self._connection.autocommit and self.name is None
        wire = self.mogrify(query, variables) if alone else b""
        self._connection.send(
            text,
            lambda: super(Cursor, self).execute(query, variables),
            COMMITTING if alone else SENDING,
            wire,
        )

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        text = sql if isinstance(sql, str) else sql.as_string(self)
        connection = self._connection
        how = recorder.note(connection.database, text, COPYING)
        if how == KILL_BEFORE:
            kill()
        elif how == CUT_BEFORE:
            connection.cut()
        elif how in (KILL_WITHIN, CUT_WITHIN):
            file = Breaking(file, kill if how == KILL_WITHIN else connection.cut_within)
        try:
            super().copy_expert(sql, file, size)
        finally:  # one that is refused was answered, too
            if how == KILL_AFTER:
                kill()

    def fetchmany(self, size: int | None = None) -> list[Any]:
        if self.name is None:
            return super().fetchmany() if size is None else super().fetchmany(size)
        return self._connection.send("FETCH", lambda: super(Cursor, self).fetchmany(size), SENDING)

    def __iter__(self) -> Any:
        return super().__iter__() if self.name is None else self._walk()

    def _walk(self) -> Any:
        """What psycopg2 does in C, a FETCH at a time."""
        while rows := self.fetchmany(self.itersize):
            yield from rows


class Breaking:
    """A file of a COPY that breaks when the first rows pass."""

    def __init__(self, file: Any, act: Any) -> None:
        self.file = file
        self.act = act

    def write(self, data: bytes) -> int:
        written = self.file.write(data)
        self.file.flush()
        self._once()
        return written

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self._once()
        return data

    def _once(self) -> None:
        act, self.act = self.act, lambda: None
        act()
