"""The lock by which purges and new positions exclude each other."""

from collections.abc import Iterator
from contextlib import contextmanager

from transfer.engine.postgres.database import Database

# An advisory lock of the staging database. A new position must know exactly what was removed
# before it began.
PURGE_LOCK = 4_477_001


class PurgeLock:
    def __init__(self, database: Database) -> None:
        self.database = database

    @contextmanager
    def held_off(self) -> Iterator[None]:
        """Keeps others from removing staged rows meanwhile; waits for a purge under way."""
        with self.database.transaction(commit=False):
            self.database.one("select pg_advisory_lock_shared(%s)", [PURGE_LOCK])
        try:
            yield
        finally:
            with self.database.transaction(commit=False):
                self.database.one("select pg_advisory_unlock_shared(%s)", [PURGE_LOCK])

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps new positions from beginning: they would not know what was removed before them."""
        with self.database.transaction():
            self.database.one("select pg_advisory_lock(%s)", [PURGE_LOCK])
        try:
            yield
        finally:
            with self.database.transaction():
                self.database.one("select pg_advisory_unlock(%s)", [PURGE_LOCK])
