"""A proxy that stands between a client and PostgreSQL and speaks enough of its protocol to harm it.

It listens on a socket file, so no port has to be free and no TLS is asked for. Every message
passes `tamper`, which may let it pass, drop it, or cut the connection.
PostgreSQL, "Message Formats": type byte, length of what follows in four bytes, body. Only the
first message of a client has no type.
"""

import os
import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from psycopg2.extensions import make_dsn, parse_dsn

STARTUP = b"\0"


@dataclass(frozen=True)
class Message:
    from_server: bool
    type: bytes
    body: bytes

    @property
    def bytes(self) -> bytes:
        size = (len(self.body) + 4).to_bytes(4, "big")
        return size + self.body if self.type == STARTUP else self.type + size + self.body

    @property
    def is_commit(self) -> bool:
        return not self.from_server and self.type == b"Q" and self.body.lower() == b"commit\0"

    @property
    def is_commit_done(self) -> bool:
        return self.from_server and self.type == b"C" and self.body == b"COMMIT\0"

    @property
    def is_copy_data(self) -> bool:
        return self.from_server and self.type == b"d"

    @property
    def is_copy_in(self) -> bool:
        """The server is ready to receive the rows of a chunk."""
        return self.from_server and self.type == b"G"


class Cut(Exception):
    """Raised by `tamper`: the connection ends, and the message does not arrive."""


Tamper = Callable[[Message], bool]  # whether the message arrives


class Proxy:
    """`dsn` leads through the proxy to the database of the DSN that it was made with."""

    def __init__(self, dsn: str, tamper: Tamper) -> None:
        self.upstream = parse_dsn(dsn)
        self.tamper = tamper
        self._folder = tempfile.TemporaryDirectory(prefix="dt")
        self.dsn = make_dsn(dsn, host=self._folder.name, port=5432, sslmode="disable")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(Path(self._folder.name) / ".s.PGSQL.5432"))
        self._listener.listen()
        self._open: list[socket.socket] = []
        self._threads = [self._thread(self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        for end in self._open:
            hang_up(end)
        for thread in self._threads[1:]:
            thread.join()
        for end in self._open:
            end.close()
        self._folder.cleanup()

    def _thread(self, target: Callable[..., None], *args: object) -> threading.Thread:
        return threading.Thread(target=target, args=args, daemon=True)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = self._connect()
            except OSError:  # nobody is there, so nobody answers
                client.close()
                continue
            self._open += [client, server]
            for ends in ((client, server, False), (server, client, True)):
                thread = self._thread(self._pump, *ends)
                self._threads.append(thread)
                thread.start()

    def _connect(self) -> socket.socket:
        host, port = self.upstream.get("host", "localhost"), int(self.upstream.get("port", 5432))
        if host.startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(os.path.join(host, f".s.PGSQL.{port}"))
            except OSError:
                server.close()
                raise
            return server
        return socket.create_connection((host, port))

    def _pump(self, source: socket.socket, sink: socket.socket, from_server: bool) -> None:
        """Carries messages one way until either end is gone; then both are."""
        with suppress(OSError, EOFError, Cut), source.makefile("rb") as stream:
            type_ = b"" if from_server else STARTUP
            while True:
                message = read_message(stream, from_server, type_)
                type_ = b""
                if self.tamper(message):
                    sink.sendall(message.bytes)
        hang_up(source)
        hang_up(sink)


def read_message(stream, from_server: bool, type_: bytes) -> Message:
    type_ = type_ or exactly(stream, 1)
    size = int.from_bytes(exactly(stream, 4), "big") - 4
    return Message(from_server, type_, exactly(stream, size))


def exactly(stream, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def hang_up(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
