"""Clients that send slowly, or go on sending after their answer: see gunicorn.conf.py."""

import os
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector
from typing import NamedTuple

BODY_SECONDS = 60  # for any body,
BYTES_A_SECOND = 1_000_000  # and for its size
READ_SECONDS = 15  # without a byte

LINGER_SECONDS = 5
LINGER_BYTES = 260 << 20  # the largest body that docs/nginx.conf lets through
MOST_LINGERING = 200  # connections of a process
PIECE = 64 << 10


class BodySocket:
    """The connection of a request, as gunicorn reads the body from it.

    Raises TimeoutError if no byte comes for READ_SECONDS, or the whole body not in time.
    """

    def __init__(self, connection: socket.socket, length: int) -> None:
        self.connection = connection
        self.end = time.monotonic() + BODY_SECONDS + length / BYTES_A_SECOND

    def recv(self, size: int) -> bytes:
        seconds = min(READ_SECONDS, self.end - time.monotonic())
        if seconds <= 0:
            raise TimeoutError
        self.connection.settimeout(seconds)
        try:
            return self.connection.recv(size)
        finally:
            self.connection.settimeout(None)  # the answer is written to it


def limit_body(request: object) -> None:
    """Limits the time for the body of a request of gunicorn, whose head was read."""
    unreader = request.unreader  # type: ignore[attr-defined]
    lengths = [value for name, value in request.headers if name == "CONTENT-LENGTH"]  # type: ignore[attr-defined]
    unreader.sock = BodySocket(unreader.sock, int(lengths[0]) if lengths else 0)


class Lingerer(NamedTuple):
    """A client that has its answer, and may still send."""

    connection: socket.socket
    end: float  # when it is given up


class Lingering:
    """One thread that reads and drops what clients still send after their answer.

    A file is refused before it has arrived. If the connection closes while its client sends, the
    kernel resets it, and the answer is lost: nginx says 502, a browser that the connection broke.
    Each client is given up after LINGER_SECONDS or LINGER_BYTES, and the oldest if there are more
    than MOST_LINGERING.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.arrived: deque[Lingerer] = deque()
        self.thread: threading.Thread | None = None

    def take(self, connection: socket.socket) -> None:
        """Ends the answer, and takes the connection. Raises OSError where it is lost already.

        Our caller keeps a socket that is closed at the other end: it has nothing to wait for.
        """
        connection.shutdown(socket.SHUT_WR)
        kept = socket.socket(fileno=os.dup(connection.fileno()))
        kept.setblocking(False)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            os.dup2(ours.fileno(), connection.fileno())
        with self.lock:
            if self.thread is None:
                self.wake, self.woken = socket.socketpair()
                self.thread = threading.Thread(target=self.run, name="lingering", daemon=True)
                self.thread.start()
            self.arrived.append(Lingerer(kept, time.monotonic() + LINGER_SECONDS))
            self.wake.send(b"1")

    def run(self) -> None:
        """Waits for bytes of any client, for a new client, or until the first is given up."""
        selector, left = DefaultSelector(), dict[Lingerer, int]()  # in the order of their ends
        selector.register(self.woken, EVENT_READ)

        def give_up(client: Lingerer) -> None:
            del left[client]
            selector.unregister(client.connection)
            client.connection.close()

        while True:
            first = next(iter(left), None)
            seconds = None if first is None else max(0.0, first.end - time.monotonic())
            for key, _events in selector.select(seconds):
                client = key.data
                if client is None:
                    self.woken.recv(PIECE)
                elif received := drop(client.connection):
                    left[client] -= received
                else:
                    left[client] = 0
            while self.arrived:
                client = self.arrived.popleft()
                left[client] = LINGER_BYTES
                selector.register(client.connection, EVENT_READ, client)
            now, surplus = time.monotonic(), len(left) - MOST_LINGERING
            for number, client in enumerate([*left]):
                if number < surplus or client.end <= now or left[client] <= 0:
                    give_up(client)


def drop(connection: socket.socket) -> int:
    """How many bytes were read and dropped; 0 at the end."""
    with suppress(OSError):
        return len(connection.recv(PIECE))
    return 0


lingering = Lingering()
