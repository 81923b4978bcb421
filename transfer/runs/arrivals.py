"""Runs tasks as rows arrive: a resident process looks into shop All every second, and as soon as
anything was written there.

A look asks our own database for the tasks that run as rows arrive, and adds to the log of shop All
what was staged since the look before: one question a kind for all servers. A task whose last run
ended before the log's end lags behind, and its run begins in this process, past the queue. Where
nothing was staged, nothing is written on any side. What a look says decides only when a run begins;
which rows it moves, the position decides, as in any run.

One process looks at a time. A run gives way after a chunk if tasks of other servers wait for its
thread: it goes on after them. While rows keep coming, a task has one run a minute: further rows
open the last run again. A task that fails is left to the tick, and its growing delay.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from threading import Event, Thread
from time import monotonic
from typing import Any, Self

from django.conf import settings
from django.db import Error, IntegrityError, connection
from django.utils import timezone

from transfer.engine.knowledge import check_shop_all
from transfer.engine.postgres.deadline import Limits
from transfer.engine.postgres.pool import pooled
from transfer.engine.received import Place, Recorded
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import AlreadyRunning, TransferError
from transfer.installed import installed_kinds
from transfer.models import FailedStep, LogPlace, TransferRun, TransferTask
from transfer.models.run_base import State, Trigger
from transfer.queue.locks import Space, lock
from transfer.queue.residents import stay_connected
from transfer.queue.worker import Stopped, wait
from transfer.runs.execute import execute

logger = logging.getLogger(__name__)

STEP = "arrivals"
BETWEEN_LOOKS = 1.0  # seconds, while nothing is written to the server of shop All
AFTER_A_LOOK = 0.4  # seconds until the next one, if something is
BETWEEN_GLANCES = 0.1  # seconds: one statement, which asks whether anything was written
UNTIL_NEXT_TRY = 5.0  # seconds: after a failure, or while another process looks
ANSWER_WITHIN = 10.0  # seconds that shop All has for all questions of a look
AT_ONCE = 4  # runs in this process
ONE_RUN = timedelta(minutes=1)  # how long further rows count for the same run
NOTED_EVERY = 20.0  # seconds: that the tick need not open a task's runs


@contextmanager
def looking(stopped: Stopped) -> Iterator[None]:
    """Looks in a thread while the block runs, and until `stopped`. The end waits for open runs."""
    ended = Event()
    thread = Thread(
        target=keep_looking, args=[lambda: stopped() or ended.is_set()], name="arrivals"
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def keep_looking(stopped: Stopped) -> None:
    """Looks until it is stopped. No exception ends it: it is logged, counted and shown."""
    stay_connected("arrivals", 0)
    while not stopped():
        try:
            with lock(Space.ARRIVALS, 0):
                _look_again_and_again(stopped)
        except AlreadyRunning:
            pass
        except Exception as error:
            logger.exception("looking for rows failed, and goes on in %g s", UNTIL_NEXT_TRY)
            connection.close()
            with suppress(Error):  # our own database may be what failed
                FailedStep.note_failure(STEP, "", error)
        wait(UNTIL_NEXT_TRY, stopped)
    connection.close()


def _look_again_and_again(stopped: Stopped) -> None:
    finder, is_first = LagFinder(), True
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="arrivals") as workers, Glances() as shop:
        moves = Moves(workers, stopped)
        while not stopped():
            began = monotonic()
            shop.note()
            with suppress(TransferError):  # the tick's runs fail as well, and say so
                for task in finder.lagging(but=moves.open()):
                    moves.add(task)
            if is_first:
                FailedStep.note_success(STEP, "")
                is_first = False
            wait(began + AFTER_A_LOOK - monotonic(), stopped)
            while not stopped() and monotonic() < began + BETWEEN_LOOKS and not shop.has_changed():
                wait(min(BETWEEN_GLANCES, began + BETWEEN_LOOKS - monotonic()), stopped)


class Glances:
    """Sees whether anything was written to the server of shop All. Keeps one connection for it.

    A glance that fails sees no change: the next look says why.
    """

    def __init__(self) -> None:
        self._source: ShopAll | None = None
        self._seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def note(self) -> None:
        """Take what is there now as seen; to be called before the look that reads it."""
        self._seen = self._snapshot()

    def has_changed(self) -> bool:
        """Return whether anything was committed since `note`."""
        now = self._snapshot()
        return now not in ("", self._seen)

    def _snapshot(self) -> str:
        """Return the snapshot of the server; empty if it does not answer."""
        try:
            if self._source is None:
                dsn = settings.SHOP_ALL_DATABASE_URL
                self._source = ShopAll(dsn, "arrivals", secret=False)
                self._source.database.connection.limit(Limits(statement=ANSWER_WITHIN))
            with self._source.database.transaction(commit=False):
                return self._source.log.snapshot()
        except TransferError:
            self._close()
            return ""

    def _close(self) -> None:
        if self._source is not None:
            self._source.database.close()
            self._source = None


class Moves:
    """Moves the rows of tasks, AT_ONCE at a time, in the order in which they are added.

    A task whose run gives way comes last again. A thread moves one task after the other, and closes
    its connection to our own database when no task is left. What is left when it is stopped, the
    next process finds.
    """

    def __init__(self, workers: ThreadPoolExecutor, stopped: Stopped) -> None:
        self._workers = workers
        self._stopped = stopped
        self._waiting: deque[TransferTask] = deque()
        self._open: set[TransferTask] = set()

    def open(self) -> set[TransferTask]:
        """The tasks that wait, and those that are moved at this moment."""
        return self._open.copy()

    def add(self, task: TransferTask) -> None:
        self._open.add(task)
        self._waiting.append(task)
        self._workers.submit(self._move_all)

    def _move_all(self) -> None:
        try:
            while not self._stopped():
                task = self._waiting.popleft()
                gave_way = False
                try:
                    others_wait = partial(self._others_wait, task)
                    gave_way = move_arrived(task, self._stopped, others_wait)
                finally:
                    if gave_way:
                        self._waiting.append(task)
                    else:
                        self._open.discard(task)
        except IndexError:  # no task is left
            pass
        finally:
            connection.close()

    def _others_wait(self, task: TransferTask) -> bool:
        return any(one.server_id != task.server_id for one in self._waiting.copy())


class LagFinder:
    """Finds the tasks that lag behind."""

    def __init__(self) -> None:
        self._noted = -NOTED_EVERY

    def lagging(self, but: Iterable[TransferTask] = ()) -> list[TransferTask]:
        """Return the tasks whose last run ended before the end of the log. Raises TransferError.

        Leaves out those with an open run, failing ones, and `but`.
        """
        read = {task: one for task, one in watched_tasks().items() if task not in but}
        if not read:
            return []
        origin, ends = self._ends({task.kind for task in read})
        if monotonic() - self._noted >= NOTED_EVERY:
            # The tick need not open the runs of these tasks.
            looked_for = [task.pk for task in read]
            TransferTask.objects.filter(pk__in=looked_for).update(looked_at=timezone.now())
            self._noted = monotonic()
        return [
            task
            for task, position in read.items()
            if (position.origin, position.place) != (origin, ends[task.kind])
        ]

    def _ends(self, names: Iterable[str]) -> tuple[str, dict[str, Place]]:
        """Return the identity of shop All, and kind → the end of its log, with all that is staged.

        Nothing is added to the log of a shop All that our own history would ask about.
        """
        kinds = [installed_kinds()[name] for name in names]
        opened = ShopAll(
            settings.SHOP_ALL_DATABASE_URL, "arrivals", seconds=ANSWER_WITHIN, secret=False
        )
        with pooled(opened) as source:
            with source.snapshot():
                origin = source.identity.origin()
                check_shop_all(LogPlace.objects.seen(), source, origin)
                ends = source.log.ends(kinds)
            found = {kind: source.log_writer.find_unappended(kind) for kind in kinds}
            if any(one.lacking or one.is_whole for one in found.values()):
                for kind, one in found.items():
                    source.log_writer.add(kind, one)
                with source.snapshot():
                    ends = source.log.ends(kinds)
            return origin, ends


def watched_tasks() -> dict[TransferTask, Recorded]:
    """Return the tasks that may run now as rows arrive, each with its position by our own history.

    The last run of each has ended well, and moved what there was. Before its first run, and after
    one that was cancelled, the tick opens it. Two queries, however many tasks.
    """
    listed: Any = TransferTask.objects.watched().with_runs().select_related("server")
    last = {
        task: task.last_run_id
        for task in listed
        if task.open_run_id is None and task.last_run_id == task.last_success_id is not None
    }
    runs = TransferRun.objects.filter(pk__in=last.values()).order_by()
    positions = dict(runs.values_list("pk", "position_to"))
    known = {task: positions.get(run) for task, run in last.items()}
    return {task: Recorded.from_json(position) for task, position in known.items() if position}


def move_arrived(
    task: TransferTask, stopped: Stopped, others_wait: Callable[[], bool] = lambda: False
) -> bool:
    """Move the task's rows, and return whether the run gave way, so that rows are left.

    In the run that gave way, or the last run, if that is one of this minute, or in a new one. Does
    nothing while another process runs the task. A failure is noted in the run.
    """
    try:
        with suppress(AlreadyRunning), task.lock():
            run = _open_again(task, timezone.now())
            if run is None:
                run = TransferRun.of(task, Trigger.ARRIVAL)
                run.start()
            with run.failures():
                execute(
                    run,
                    task,
                    stopped=stopped,
                    stopped_as=State.INTERRUPTED,
                    others_wait=others_wait,
                    keeps_connections=True,
                )
            return run.gave_way
    except IntegrityError:  # a run was queued a moment ago: a worker takes it
        pass
    except Exception:
        logger.exception("moving what has arrived: %s", task)
        connection.close()
    return False


def _open_again(task: TransferTask, now: datetime) -> TransferRun | None:
    """Take up the run that gave way, or else the last one, if rows that arrive now count for it."""
    gave_way = task.runs.queued().exclude(started_at=None).first()
    if gave_way is not None and gave_way.claim():  # no worker was faster
        return gave_way
    recent = task.runs.filter(
        trigger=Trigger.ARRIVAL, started_at__gt=now - ONE_RUN, cancel_requested_at=None
    )
    last = recent.order_by("-pk").first()
    return last if last is not None and last.go_on() else None
