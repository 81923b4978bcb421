"""Connections that are kept for the next question: to open one takes longer than to ask. No Django.

For what open pages ask again and again. A transfer opens its own.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import TypeVar

import psycopg2

from transfer.engine.postgres.database import Database
from transfer.engine.postgres.deadline import Connection

# After its first question; whoever may not log in any more is refused as soon as that. What nobody
# asks through for as long, the server closes.
SECONDS = 60

Door = TypeVar("Door", bound=Database)

# By address and purpose: since when, and the connection.
_pool: defaultdict[tuple[str, str], list[tuple[float, Connection]]] = defaultdict(list)


@contextmanager
def pooled(door: Door) -> Iterator[Door]:
    """Opens the door with a connection that was kept, if there is one, and keeps it at the end,
    unless something went wrong.
    """
    connections = _pool[door.dsn, door.purpose]
    door.idle_seconds, since = SECONDS, monotonic()
    if one := _taken(connections, door.ends_at):
        since, connection = one
        door.take_over(connection)
    with door:
        yield door
        door.roll_back()
        if left := door.hand_over():
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


def _is_open(connection: Connection) -> bool:
    """Whether the server answers; the session is then as if it had just begun."""
    try:
        connection.reset()
    except psycopg2.Error:
        return False
    return True
