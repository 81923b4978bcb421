"""Clients that send slowly, or go on sending after their answer: see gunicorn.conf.py.

A thread answers only requests whose head has arrived: until then, one thread of the process waits
for all of them, and after their answers another one does. Behind nginx, which passes on heads that
are complete and closes after each answer, both have nothing to do.
"""

import logging
import re
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from selectors import EVENT_READ, BaseSelector, DefaultSelector
from typing import Any, NamedTuple, NoReturn

from gunicorn.http import get_parser
from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.workers.gthread import TConn, ThreadWorker

logger = logging.getLogger(__name__)

HEAD_SECONDS = 15  # until the head of a request has arrived,
HEAD_SECONDS_AT_STOP = 2  # and while the web server stops
HEAD_BYTES = 32 << 10  # as nginx allows
MOST_HEADS = 300  # that have not arrived, of a process

BODY_SECONDS = 60  # for any body,
BYTES_A_SECOND = 1_000_000  # and for its size
READ_SECONDS = 15  # without a byte

SEND_SECONDS = 60  # for each piece of an answer, such as a page

LINGER_SECONDS = 5
LINGER_BYTES = 260 << 20  # the largest body that docs/nginx.conf lets through
MOST_LINGERING = 200  # connections of a process
PIECE = 64 << 10

# The end of a head, or what gunicorn refuses without waiting for the end.
COMPLETE = re.compile(rb"\r\n\r\n|(?<!\r)\n")


@dataclass
class Head:
    """The beginning of a request, of which more may arrive."""

    received: bytearray = field(default_factory=bytearray)
    since: float = field(default_factory=time.monotonic)

    def add(self, piece: bytes) -> bool:
        """Append the piece; return whether gunicorn can answer without waiting for more."""
        searched = max(0, len(self.received) - 3)
        self.received += piece
        is_complete = COMPLETE.search(self.received, searched) is not None
        return is_complete or len(self.received) >= HEAD_BYTES


class HeadSocket:
    """A connection as gunicorn sees it while it parses the head, which has arrived."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def recv(self, _size: int) -> NoReturn:
        """Raise LimitRequestHeaders, which gunicorn answers with 431, instead of waiting."""
        raise LimitRequestHeaders(f"longer than {HEAD_BYTES} bytes")


class HeadFirstWorker(ThreadWorker):
    """gunicorn's worker with threads, which get no connection before its request's head arrived.

    gunicorn's own worker gives each new connection to a thread. The thread waits 5 seconds for the
    first byte, and without end for the rest of the head. After an answer, gunicorn's main thread
    waits up to 2 seconds for the client to close. Meanwhile it accepts no other client.

    This class replaces three methods of gunicorn that are not documented. All run in the main
    thread, which waits in `self.poller`. A later gunicorn that does not call them in this way fails
    in tests/thief/test_half_requests.py:

    - `enqueue_req` gets each accepted connection, and submits it to the threads,
    - `murder_pending` gives up connections, after each round of the poller,
    - `finish_request` gets each connection that a thread is done with, and closes it.

    It needs `keepalive = 0`. With TLS, which a proxy does in all installations that the papers
    describe, connections go to the threads at once, as in gunicorn.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.heads: dict[TConn, Head] = {}  # in the order in which they began

    def enqueue_req(self, conn: TConn) -> None:
        """Wait for the head of a request without a thread."""
        if self.cfg.is_ssl:
            super().enqueue_req(conn)
            return
        self.heads[conn] = Head()
        self.poller.register(conn.sock, EVENT_READ, partial(self.read_head, conn))

    def read_head(self, conn: TConn, _connection: socket.socket) -> None:
        """Read what has arrived, and give the connection to a thread once its head is complete."""
        head = self.heads[conn]
        try:
            piece = conn.sock.recv(HEAD_BYTES - len(head.received))
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self.give_up(conn)
        elif head.add(piece):
            self.forget(conn)
            conn.parser = get_parser(self.cfg, HeadSocket(conn.sock), conn.client)
            conn.parser.unreader.unread(bytes(head.received))
            conn.data_ready = True  # else the thread would wait for the first byte
            super().enqueue_req(conn)

    def murder_pending(self) -> None:
        """Give up clients whose heads take too long, and the oldest if there are too many."""
        seconds = HEAD_SECONDS if self.alive else HEAD_SECONDS_AT_STOP
        while self.heads:
            conn, head = next(iter(self.heads.items()))
            if len(self.heads) <= MOST_HEADS and time.monotonic() < head.since + seconds:
                break
            self.give_up(conn)

    def finish_request(self, conn: TConn, _answered: object) -> None:
        """Hand a connection over to the thread that drops what its client still sends."""
        self.nr_conns -= 1
        lingering.take(conn.sock)

    def forget(self, conn: TConn) -> None:
        del self.heads[conn]
        self.poller.unregister(conn.sock)

    def give_up(self, conn: TConn) -> None:
        self.forget(conn)
        self.nr_conns -= 1
        conn.close()


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
            self.connection.settimeout(SEND_SECONDS)  # the answer is written to it


def limit_body(request: object) -> None:
    """Limit the time for body and answer of a request of gunicorn, whose head was read."""
    unreader = request.unreader  # type: ignore[attr-defined]
    if isinstance(unreader.sock, HeadSocket):
        unreader.sock = unreader.sock.connection
    unreader.sock.settimeout(SEND_SECONDS)
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
        """End the answer, and close the connection as soon as its client has nothing to send."""
        try:
            connection.shutdown(socket.SHUT_WR)
            connection.setblocking(False)
        except OSError:  # lost already
            connection.close()
            return
        with self.lock:
            if self.thread is None:
                self.wake, self.woken = socket.socketpair()
                self.wake.setblocking(False)
                thread = threading.Thread(target=self.run, name="lingering", daemon=True)
                thread.start()
                self.thread = thread
            self.arrived.append(Lingerer(connection, time.monotonic() + LINGER_SECONDS))
            with suppress(BlockingIOError):  # it is full of such bytes: the thread wakes up anyhow
                self.wake.send(b"1")

    def run(self) -> None:
        """Wait for clients. An error, which is logged, gives up those of the moment, no others."""
        while True:
            left: dict[Lingerer, int] = {}  # bytes that each may still send, in order of their ends
            try:
                with DefaultSelector() as selector:
                    self.wait(selector, left)
            except Exception:
                logger.exception("clients that still send after their answer were given up")
            for client in left:
                client.connection.close()

    def wait(self, selector: BaseSelector, left: dict[Lingerer, int]) -> NoReturn:
        """Wait for bytes of any client, for a new client, or until the first is given up."""
        selector.register(self.woken, EVENT_READ)

        def give_up(client: Lingerer) -> None:
            del left[client]
            selector.unregister(client.connection)
            client.connection.close()

        while True:
            while self.arrived:
                client = self.arrived.popleft()
                left[client] = LINGER_BYTES
                selector.register(client.connection, EVENT_READ, client)
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
