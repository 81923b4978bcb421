"""The advisory locks of our own database: each space has its number and its name here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum, unique

from django.db import connection
from django.db.models.expressions import RawSQL

from transfer.causes.runs import ALREADY_RUNNING
from transfer.errors import AlreadyRunning


@unique
class Space(IntEnum):
    """What is locked; the second key is the number of the row.

    Of RESIDENT and AT_WORK, see `residents.py`, it is the number of a worker within its session.
    """

    TRANSFER_TASK = 4477
    MAINTENANCE_TASK = 4478
    UPLOAD = 4479
    ACCOUNT_JOB = 4480
    NOTICE = 4481
    WATCH = 4482
    REJECTS = 4483
    RECURRING_JOB = 4484
    GUESSES = 4485
    ARRIVALS = 4486
    IDEMPOTENCY = 4487
    PROVIDER = 4488
    LARGE_CALL = 4489
    WORKBOOK = 4490
    RESIDENT = 4491
    AT_WORK = 4492
    PERSON = 4493


# Locks under both keys of 32 bits have objsubid 2 (PostgreSQL, "pg_locks").
HELD = """
    select objid::bigint from pg_locks
     where locktype = 'advisory' and objsubid = 2 and granted and classid = %s
       and database = (select oid from pg_database where datname = current_database())
"""


def held(space: Space) -> RawSQL:
    """SQL for the numbers whose lock is held at this moment."""
    return RawSQL(HELD, [space])  # noqa: S611 - a constant


def is_held(space: Space, number: int) -> bool:
    """Whether this lock is held at this moment."""
    with connection.cursor() as cursor:
        cursor.execute(f"select %s in ({HELD})", [number, space])
        return bool(cursor.fetchone()[0])


@contextmanager
def lock(space: Space, number: int, holder: Callable[[], object] = str) -> Iterator[None]:
    """Holds the lock, which ends with this process at the latest.

    Raises AlreadyRunning, which names what `holder` returns.
    """
    key = [space, number]
    with connection.cursor() as cursor:
        cursor.execute("select pg_try_advisory_lock(%s, %s)", key)
        if cursor.fetchone() != (True,):
            raise AlreadyRunning(ALREADY_RUNNING, holder=holder())
    try:
        yield
    finally:
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_unlock(%s, %s)", key)


@contextmanager
def shared_lock(space: Space, number: int) -> Iterator[None]:
    """Hold the lock together with others, to show that the block is under way."""
    key = [space, number]
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_lock_shared(%s, %s)", key)
    try:
        yield
    finally:
        connection.close_if_unusable_or_obsolete()
        with connection.cursor() as cursor:
            cursor.execute("select pg_advisory_unlock_shared(%s, %s)", key)


def wait_for_lock(space: Space, number: int) -> None:
    """Waits for the lock and holds it until the transaction under way ends."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s, %s)", [space, number])
