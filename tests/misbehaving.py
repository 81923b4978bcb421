"""Bonus servers that misbehave, each a thread on a free port."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Handler = Callable[[socket.socket, int], None]  # with the number of the connection, from 1


@contextmanager
def server(handler: Handler, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Yields the port. Hanging connections are closed when the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    opened: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket, number: int) -> None:
        with suppress(OSError, ssl.SSLError):
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True)
                opened.append(connection)
            handler(connection, number)
        with suppress(OSError):
            connection.close()

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            opened.append(connection)
            thread = threading.Thread(target=serve, args=(connection, len(threads) + 1))
            threads.append(thread)
            thread.start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(5)
        for connection in opened:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in threads:
            thread.join(5)


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextmanager
def full_queue() -> Iterator[int]:
    """A port that answers no new connection, as behind a firewall that drops them."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        yield port
        for one in waiting:
            one.close()


def request_of(connection: socket.socket) -> bytes:
    """The whole request: it is not read from the other side while we answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            while len(body) < int(line.split(b":")[1]):
                body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def reply(status: int, body: bytes = b"{}") -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
        status,
        len(body),
        body,
    )


def answers(status: int, body: bytes = b"{}") -> Handler:
    def handler(connection: socket.socket, number: int) -> None:
        request_of(connection)
        connection.sendall(reply(status, body))

    return handler


def is_silent(connection: socket.socket, number: int) -> None:
    """Accepts, reads, and never says a word: half open, or an answer after a minute."""
    while connection.recv(65536):
        pass


def drips(connection: socket.socket, number: int) -> None:
    """A byte every 100 ms for ever: each read is quick, the whole never ends."""
    request_of(connection)
    stop = threading.Event()
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not stop.wait(0.1):
        connection.sendall(b" ")


def speaks_garbage(connection: socket.socket, number: int) -> None:
    request_of(connection)
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\x00\xff\r\n\r\n")


def hangs_up(connection: socket.socket, number: int) -> None:
    request_of(connection)
