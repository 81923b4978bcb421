"""Connections that are kept for the next question or run: to open one takes longer than to ask.

For what open pages ask again and again, and for tasks that run as rows arrive: a run of one row
takes about as long as to open two connections. Any other run opens its own.

A kept connection is one whose use ended well. Its session is then cleared: it is as if it had just
begun, holds no lock, no snapshot, no temporary table and no setting. So the next use finds nothing
of the one before, neither ours nor what a vendor's trigger has left. That a session goes on proves
nothing to a run either: each run asks both databases for all that it relies on, as after a break of
hours within one run.
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

# By address, and whether a person waits (see `connect`): since when, and the connection.
_pool: defaultdict[tuple[str, bool], list[tuple[float, Connection]]] = defaultdict(list)


@contextmanager
def pooled(opened: Opened) -> Iterator[Opened]:
    """Opens it with a connection that was kept, if there is one, and keeps the connection at the
    end, unless something went wrong.
    """
    _close_old()
    database, since = opened.database, monotonic()
    connections = _pool[database.dsn, database.is_waited_for]
    if one := _taken(connections, database):
        since, connection = one
        database.take_over(connection)
    with opened:
        yield opened
        database.roll_back()
        if left := database.hand_over():
            try:
                left.clear(SECONDS)
            except psycopg2.Error:  # the session is not as if it had just begun
                with suppress(psycopg2.Error):
                    left.close()
            else:
                connections.append((since, left))


def _taken(
    connections: list[tuple[float, Connection]], database: Database
) -> tuple[float, Connection] | None:
    with suppress(IndexError):  # another thread may be faster
        while True:
            since, connection = connections.pop()
            connection.ends_at = database.ends_at
            if monotonic() - since < SECONDS:
                with suppress(psycopg2.Error):  # the server does not answer
                    connection.go_on(database.purpose)
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
