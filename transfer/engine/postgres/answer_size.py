"""Limits how much a database may answer to one statement, in rows and in bytes.

libpq keeps a whole result, each single value and every notice in memory before psycopg2 sees the
first row of it. So a hostile database, or one whose table somebody has replaced by a view, could
take all memory of the process. Three limits prevent it:

1. A query is sent with a `limit` that is one row higher than what the caller expects.
2. The number of rows is checked before they become Python objects.
3. The watchdog (see `deadline.py`) compares the bytes that have arrived on the socket with
   ANSWER_BYTES and shuts the socket. A server that ignores the `limit`, one huge value and notices
   all end there. The rows of a COPY that we have taken no longer count: what they leave in
   libpq's memory is one row.

While libpq logs in, psycopg2 does not show its socket, and a server that goes on answering would
hold it for ever, whatever `connect_timeout` says. So the socket is looked for among those of the
process.

A Unix socket does not count its bytes. There the memory of the whole process is compared with
GROWTH_BYTES instead: it may grow by so much while one statement runs.
"""

import os
import re
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any, ClassVar

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import cursor as PlainCursor

ANSWER_BYTES = 64 << 20
# A result takes up to four times its bytes in libpq's memory; other threads need some, too.
GROWTH_BYTES = 4 * ANSWER_BYTES

# The rows of one answer: the greatest number that any caller may ask for by default, and the one
# for callers whose list is as long as a table of ours. The bytes limit such a list first.
MOST_ROWS = 100_000
LONG_LIST = 10_000_000

# Where `tcpi_bytes_received` lies in `struct tcp_info` of <linux/tcp.h>, since Linux 4.1.
BYTES_RECEIVED = struct.Struct("=128xQ")
# A row of a COPY has a byte for its type and four for its length before it; TLS adds a header and a
# checksum to each record, which is far less than a sixteenth.
ROW_HEADER = 5
TLS_SHARE = 16

# A query whose rows a common table expression can hold. What changes rows has to stand outside of
# it, and several statements can't be in it; such words in a literal do no harm.
QUERY = re.compile(r"(\s|--[^\n]*\n)*(select|with|values)\b", re.IGNORECASE)
NO_QUERY = re.compile(r"\b(insert|update|delete|merge|into)\b|;", re.IGNORECASE)
# The planner plans the expression as without a limit, so the limit makes no plan worse. PostgreSQL
# stops it after so many rows.
LIMITED = "with answer as materialized (\n{query}\n) select * from answer limit {most}"
# The limit at the end of a query, in no comment: it is that of all its rows. To plan the expression
# around a query of one row takes as long as the query.
LAST_LIMIT = re.compile(r"^(?:(?!--).)*\blimit (\d{1,9})\s*\Z", re.MULTILINE)


class AnswerTooBig(psycopg2.OperationalError):
    """More than ANSWER_BYTES arrived. The socket has been shut."""

    def __init__(self) -> None:
        super().__init__(f"more than {ANSWER_BYTES >> 20} MB arrived")


def limited(statement: Any, most: int, cursor: PlainCursor) -> str:
    """Return the statement so that PostgreSQL sends at most so many rows, where it is a query that
    changes and locks nothing, and does not end with a limit as low; any other one as it is.
    """
    if isinstance(statement, sql.Composable):
        return _limited(statement.as_string(cursor), most)
    return _limited_text(statement, most)


def _limited(query: str, most: int) -> str:
    if not QUERY.match(query) or NO_QUERY.search(query):
        return query
    own = LAST_LIMIT.search(query)
    if own is not None and int(own[1]) <= most:
        return query
    return LIMITED.format(query=query, most=most)


# Of texts of our own, which hold no values: these come as parameters.
_limited_text = lru_cache(maxsize=512)(_limited)


class ByteLimit:
    """Compares what arrives on a connection, from now on, with what one statement may answer."""

    def __init__(self, line: socket.socket | None) -> None:
        self._line = line
        self._before = _bytes_received(line)
        self._memory_before = 0  # bytes, at the first comparison
        self._taken = 0  # bytes that belong to rows of a COPY which libpq has handed over

    def take(self, size: int) -> None:
        """Note that libpq has handed over a row of a COPY with so many bytes."""
        self._taken += size + ROW_HEADER

    @property
    def counts(self) -> bool:
        """Whether the system counts the bytes of the connection."""
        return self._before > 0

    def is_passed(self) -> bool:
        """Whether it has answered too much. Any thread may ask."""
        if not self.counts:
            memory = _resident_bytes()
            if not self._memory_before:
                self._memory_before = memory
            return memory - self._memory_before > GROWTH_BYTES
        received = _bytes_received(self._line)
        taken = self._taken + self._taken // TLS_SHARE
        return received - self._before > ANSWER_BYTES + taken


class OpeningLimit:
    """Compares what arrives on a socket that libpq opens from now on with ANSWER_BYTES.

    It is one that the process did not have before, that no other connection of the engine uses, and
    that leads to one of these ports.
    """

    used: ClassVar[set[int]] = set()  # numbers of the sockets of connections that are open

    def __init__(self, ports: str) -> None:
        self._ports = {int(port) for port in ports.split(",") if port.isdecimal()}
        self._before = {number for _, number in _sockets()}

    def is_passed(self) -> bool:
        """Whether such a socket has brought too much. Any thread may ask."""
        return any(self._is_too_much(line) for line in self._new())

    def shut(self) -> bool:
        """Shuts the sockets that have brought too much; whether there was one."""
        was_shut = False
        for line in self._new():
            if self._is_too_much(line):
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)
                was_shut = True
        return was_shut

    def _new(self) -> Iterator[socket.socket]:
        """Yields each such socket; it is closed when the next one is asked for."""
        for descriptor, number in _sockets():
            if number in self._before or number in self.used:
                continue
            with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as line:
                if line.family != socket.AF_UNIX and line.getpeername()[1] in self._ports:
                    yield line

    @staticmethod
    def _is_too_much(line: socket.socket) -> bool:
        return _bytes_received(line) > ANSWER_BYTES


class CopiedRows:
    """The file of a COPY, in bytes; tells a limit which rows it takes."""

    def __init__(self, file: Any, limit: ByteLimit) -> None:
        self.read = getattr(file, "read", None)  # where the COPY goes to the database
        self._write = file.write
        self._take = limit.take

    def write(self, row: bytes) -> None:
        self._take(len(row))
        self._write(row)


def number_of(line: socket.socket) -> int:
    """The number that the system gives a socket, the same for each of its descriptors."""
    return os.fstat(line.fileno()).st_ino


def _sockets() -> Iterator[tuple[int, int]]:
    """The sockets of this process: descriptors, and their numbers; none where there is no /proc."""
    with suppress(OSError):
        for descriptor in os.listdir("/proc/self/fd"):
            with suppress(OSError):  # closed meanwhile
                about = os.stat(int(descriptor))
                if stat.S_ISSOCK(about.st_mode):
                    yield int(descriptor), about.st_ino


def _bytes_received(line: socket.socket | None) -> int:
    """All bytes that have ever arrived on a TCP connection; 0 where the system does not count."""
    if line is None or line.family == socket.AF_UNIX:
        return 0
    try:
        about = line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_RECEIVED.size)
        received: int
        (received,) = BYTES_RECEIVED.unpack(about)
    except (OSError, struct.error):  # closed meanwhile, or an older system
        return 0
    return received


def _resident_bytes() -> int:
    """The memory of this process; 0 where there is no /proc."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
