"""The lock by which purges and new positions exclude each other."""

from collections.abc import Iterator
from contextlib import contextmanager

from transfer.engine.postgres.database import Database

# An advisory lock of the staging database. A new position must know exactly what was removed
# before it began.
PURGE_LOCK = 4_477_001

# Waits for the lock; the session holds it until it unlocks or ends.
LOCK = "select pg_advisory_lock(%s)"
# Frees it.
UNLOCK = "select pg_advisory_unlock(%s)"
# The same for several sessions at once, beside none that holds the other.
LOCK_SHARED = "select pg_advisory_lock_shared(%s)"
# Frees that.
UNLOCK_SHARED = "select pg_advisory_unlock_shared(%s)"


class PurgeLock:
    """Takes the lock for a purge, or for a new position."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @contextmanager
    def held_off(self) -> Iterator[None]:
        """Keeps others from removing staged rows meanwhile; waits for a purge under way."""
        with self.database.transaction(commit=False):
            self.database.one(LOCK_SHARED, [PURGE_LOCK])
        try:
            yield
        finally:
            with self.database.transaction(commit=False):
                self.database.one(UNLOCK_SHARED, [PURGE_LOCK])

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps new positions from beginning: they would not know what was removed before them."""
        with self.database.transaction():
            self.database.one(LOCK, [PURGE_LOCK])
        try:
            yield
        finally:
            with self.database.transaction():
                self.database.one(UNLOCK, [PURGE_LOCK])
