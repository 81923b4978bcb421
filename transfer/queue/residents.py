"""Which workers wait for jobs, on all machines: locks in our own database show it.

A resident worker stays connected between two looks at the queue. Its session holds a shared lock
for each worker that the process brings, and another one while a job is done. The locks are gone as
soon as the session is: within a minute where its machine lost its power.
"""

import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.backends.signals import connection_created
from django.dispatch import receiver

from transfer.queue.locks import Space, shared_lock

# Each lock of a session is counted once, however many sessions share it.
COUNTED = """
    select count(*) filter (where classid = %(resident)s),
           count(*) filter (where classid = %(at_work)s)
      from pg_locks
     where locktype = 'advisory' and objsubid = 2 and granted
       and database = (select oid from pg_database where datname = current_database())
"""
HOLD = "select pg_advisory_lock_shared(%s, number) from generate_series(1, %s) as number"

_thread = threading.local()  # `workers`: how many the session of this thread stands for


@dataclass(frozen=True)
class Workers:
    resident: int = 0
    at_work: int = 0

    @property
    def free(self) -> int:
        return max(self.resident - self.at_work, 0)


def stay_connected(command: str, workers: int) -> None:
    """Keep this thread connected from here on, as `workers` workers of a manage.py command."""
    connection.close()
    settings = connection.settings_dict
    connection.settings_dict = {
        **settings,
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {**settings["OPTIONS"], "application_name": f"dtadmin {command}"},
    }
    _thread.workers = workers


@receiver(connection_created)
def hold_locks(connection: Any, **_signal: object) -> None:
    """Hold the locks of this thread's workers in each session that it opens."""
    workers = getattr(_thread, "workers", 0)
    if workers and connection.alias == DEFAULT_DB_ALIAS:
        with connection.cursor() as cursor:
            cursor.execute(HOLD, [Space.RESIDENT, workers])


def at_work() -> AbstractContextManager[None]:
    """Count a resident worker as busy while the block runs, in the session of this thread."""
    return shared_lock(Space.AT_WORK, 0)


def count_workers() -> Workers:
    """Return how many resident workers there are at this moment, and how many are at work."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTED, {"resident": Space.RESIDENT, "at_work": Space.AT_WORK})
        resident, at_work = cursor.fetchone()
    return Workers(resident, min(resident, at_work))
