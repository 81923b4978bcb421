"""Connections that are kept for the next question: to open one takes longer than to ask.

For what open pages ask again and again. A transfer opens its own.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Protocol, TypeVar

import psycopg2

from transfer.engine.postgres.connection import Connection
from transfer.engine.postgres.database import Database

# After its first use; so an account that may not log in any more is refused after as long. The
# server closes a connection that is not used for as long.
SECONDS = 60


class HasDatabase(Protocol):
    """What can be opened with a connection of the pool."""

    database: Database

    def __enter__(self) -> object: ...

    def __exit__(self, *error: object) -> None: ...


Opened = TypeVar("Opened", bound=HasDatabase)

# By address and purpose: since when, and the connection.
_pool: defaultdict[tuple[str, str], list[tuple[float, Connection]]] = defaultdict(list)


@contextmanager
def pooled(opened: Opened) -> Iterator[Opened]:
    """Opens it with a connection that was kept, if there is one, and keeps the connection at the
    end, unless something went wrong.
    """
    _close_old()
    database = opened.database
    connections = _pool[database.dsn, database.purpose]
    database.idle_seconds, since = SECONDS, monotonic()
    if one := _taken(connections, database.ends_at):
        since, connection = one
        database.take_over(connection)
    with opened:
        yield opened
        database.roll_back()
        if left := database.hand_over():
            connections.append((since, left))


def _taken(
    connections: list[tuple[float, Connection]], ends_at: float
) -> tuple[float, Connection] | None:
    with suppress(IndexError):  # another thread may be faster
        while True:
            since, connection = connections.pop()
            connection.ends_at = ends_at
            if monotonic() - since < SECONDS and _is_open(connection):
                return since, connection
            connection.close()
    return None


def _close_old() -> None:
    """Closes connections that no question will use again, as those to an address that was changed.

    The server may have closed them; our sockets stay open until we close them as well.
    """
    for connections in [*_pool.values()]:
        for one in [*connections]:
            since, connection = one
            if monotonic() - since >= SECONDS:
                with suppress(ValueError):  # another thread may be faster
                    connections.remove(one)
                    connection.close()


def _is_open(connection: Connection) -> bool:
    """Whether the server answers; the session is then as if it had just begun."""
    try:
        connection.reset()
    except psycopg2.Error:
        return False
    return True
