"""What waits, and why: asked of shop All and the bonus servers, in parallel and not for long."""

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone
from psycopg2 import sql

from transfer.engine.bonus_db import BonusDatabase
from transfer.engine.kinds import KINDS, Kind
from transfer.engine.position import Position, waiting
from transfer.engine.shop_all import ShopAll, quoted
from transfer.errors import TooSlow, TransferError, gettext_noop
from transfer.models import BonusServer, TransferTask
from transfer.models.run_base import State

SERVERS_AT_ONCE = 8
COUNTED_AT_MOST = 1_000_000

# The oldest row is that of the lowest (xid, id): a writer that commits late has a low one, too.
WAITING = """
    select count(*), min(created_at) from (select * from ({ranges}) as rows limit {most}) as rows
"""

# Who writes to the table and has not committed: such rows can't be seen, let alone moved.
# Without the right to see others' sessions `xact_start` is null.
WRITERS = """
    select min(a.xact_start)
      from pg_locks l join pg_stat_activity a using (pid)
     where l.locktype = 'relation' and l.relation = to_regclass(%s) and l.granted
       and l.mode = 'RowExclusiveLock' and l.pid <> pg_backend_pid()
       and l.database = (select oid from pg_database where datname = current_database())
"""


@dataclass(frozen=True)
class Backlog:
    """What one task has still to move. With an `error` the numbers are not known."""

    waiting: int = 0  # of more than COUNTED_AT_MOST, that many
    oldest: datetime | None = None  # when the oldest of them was staged
    writing_since: datetime | None = None  # the oldest transaction that may hold unseen rows
    error: TransferError | None = None

    @property
    def is_capped(self) -> bool:
        return self.waiting >= COUNTED_AT_MOST


def backlogs(tasks: Iterable[TransferTask], *, seconds: float = 3) -> dict[int, Backlog]:
    """The backlog of each task, by its number. Takes about `seconds` at most; never raises.

    The tasks' servers should have been selected with them.
    """
    of_servers: dict[BonusServer, list[TransferTask]] = {}
    for task in tasks:
        of_servers.setdefault(task.server, []).append(task)
    if not of_servers:
        return {}
    shop_all = settings.SHOP_ALL_DATABASE_URL
    pool = ThreadPoolExecutor(SERVERS_AT_ONCE, thread_name_prefix="backlog")
    # Nothing of Django's connections gets into the threads: the DSN is read here.
    futures = {
        pool.submit(
            _of_server, shop_all, server.dsn, server.name, [t.kind for t in mine], seconds
        ): mine
        for server, mine in of_servers.items()
    }
    done, late = wait(futures, timeout=seconds)
    pool.shutdown(wait=False, cancel_futures=True)
    found: dict[int, Backlog] = {}
    for future in done:
        of_kinds = future.result()
        found |= {task.pk: of_kinds[task.kind] for task in futures[future]}
    for future in late:
        error = TooSlow(database=futures[future][0].server.name, reason=f"> {seconds} s")
        found |= {task.pk: Backlog(error=error) for task in futures[future]}
    return found


def _of_server(
    shop_all: str, dsn: str, name: str, kinds: list[str], seconds: float
) -> dict[str, Backlog]:
    try:
        with ShopAll(shop_all, "backlog") as source, BonusDatabase(dsn, name, "backlog") as target:
            for door in (source, target):
                with door.transaction():
                    door.execute(f"set statement_timeout = {int(seconds * 1000)}")
            with source.snapshot():
                origin = source.origin()
            positions = {kind: target.existing_position(origin, KINDS[kind]) for kind in kinds}
            return {
                kind: _of_kind(source, KINDS[kind], positions[kind] or Position(origin, kind))
                for kind in kinds
            }
    except TransferError as error:
        return dict.fromkeys(kinds, Backlog(error=error))


def _of_kind(source: ShopAll, kind: Kind, position: Position) -> Backlog:
    with source.snapshot():
        source.read_in_order()
        part = sql.SQL("(select created_at from {} where {} order by xid, id limit {})")
        most = sql.Literal(COUNTED_AT_MOST)
        ranges = [part.format(quoted(kind), range_, most) for range_ in waiting(position)]
        query = sql.SQL(WAITING).format(ranges=sql.SQL(" union all ").join(ranges), most=most)
        rows, oldest = source.one(query)
        (writing_since,) = source.one(WRITERS, [f'"{kind.staging}"'])
    return Backlog(int(rows), oldest, writing_since)


@dataclass(frozen=True)
class Reason:
    """Why rows wait: a stable code, and a message id with its parameters."""

    code: str
    sentence: str
    params: dict[str, object]


RUNNING = gettext_noop("They are being moved now.")
QUEUED = gettext_noop("A run waits in the queue.")
DISABLED = gettext_noop("The task is switched off.")
PAUSED = gettext_noop("The task is paused, until %(until)s.")
FAILING = gettext_noop("The last run failed. Next attempt: %(at)s.")
NEXT_RUN = gettext_noop("Next run: %(at)s.")
UNPLANNED = gettext_noop("The scheduler has not planned the task yet.")


def why(task: TransferTask) -> Reason:
    """Why the task's rows have not been moved yet. Times stand in `params` as datetimes.

    The task comes from `attach_runs`.
    """
    run = task.open_run  # type: ignore[attr-defined]
    if run is not None:
        is_running = run.state == State.RUNNING
        return Reason("running", RUNNING, {}) if is_running else Reason("queued", QUEUED, {})
    if not task.enabled:
        return Reason("disabled", DISABLED, {})
    if task.is_paused():
        return Reason("paused", PAUSED, {"until": task.paused_until})
    if task.upcoming_at is None:
        return Reason("unplanned", UNPLANNED, {})
    if task.failures:
        return Reason("failing", FAILING, {"at": task.upcoming_at})
    return Reason("next_run", NEXT_RUN, {"at": task.upcoming_at})


FRESH = timedelta(seconds=5)
# Who does not answer is not asked at each look: that takes the whole time allowed.
FRESH_FAILURE = timedelta(seconds=30)


@dataclass(frozen=True)
class Known:
    """A backlog, and when it was asked for."""

    backlog: Backlog
    at: datetime

    def is_fresh(self, now: datetime) -> bool:
        return now - self.at < (FRESH_FAILURE if self.backlog.error else FRESH)


_known: dict[int, Known] = {}
_asking = threading.Lock()


def known(tasks: Iterable[TransferTask]) -> dict[int, Known]:
    """What was heard last of each task, however long ago. Asks nobody."""
    return {task.pk: _known[task.pk] for task in tasks if task.pk in _known}


def ask(tasks: Iterable[TransferTask], *, seconds: float = 3) -> dict[int, Known]:
    """The same after asking for what is no longer fresh. Takes twice `seconds` at most.

    One asks at a time: ten open tabs are no more to a bonus server than one.
    """
    listed = list(tasks)
    if _asking.acquire(timeout=seconds):
        try:
            now = timezone.now()
            stale = [t for t in listed if t.pk not in _known or not _known[t.pk].is_fresh(now)]
            for pk, backlog in backlogs(stale, seconds=seconds).items():
                _known[pk] = Known(backlog, timezone.now())
        finally:
            _asking.release()
    return known(listed)


def forget() -> None:
    """As if nobody had been asked yet."""
    _known.clear()
