"""Takes jobs from the queue and does them, until a signal asks for the end.

An entry is a row of `DBTaskResult`, which Django's task API writes. A worker takes the entry of the
highest priority; of those, one of the queue that had its last turn longest ago; of those, the
oldest. Each bonus server has a queue of its own (`jobs.Job.queue_name`), so the jobs of one server
never wait for all jobs of another one.
"""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from time import monotonic

from django.db import close_old_connections, transaction
from django.db.models import F, Max, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django_tasks_db.models import DBTaskResult

logger = logging.getLogger(__name__)

Stopped = Callable[[], int]  # the signal that asks for the end; 0 as long as there is none
_stopped: ContextVar[Stopped] = ContextVar("stopped", default=lambda: 0)

# How long an entry that was worked off shows when its queue had its turn, and how long one stays
# whose worker was killed: a job that takes longer than this is still noted as done.
KEPT, KEPT_UNFINISHED = timedelta(hours=1), timedelta(days=1)


@contextmanager
def soft_stop() -> Iterator[Stopped]:
    """Only notes Ctrl-C and SIGTERM: the block asks for the signal when it can stop.

    A second one ends the process as usual.
    """
    signals: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _frame: object) -> None:
        signals.append(number)
        signal.signal(number, handlers[signal.Signals(number)])

    for number in handlers:
        signal.signal(number, note)
    try:
        yield lambda: signals[0] if signals else 0
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def wait(seconds: float, stopped: Stopped) -> None:
    """Wait for so many seconds, or until it is stopped."""
    pause, ends = threading.Event(), monotonic() + seconds
    while not stopped() and (left := ends - monotonic()) > 0:
        pause.wait(min(left, 0.5))


def drain(stopped: Stopped) -> int:
    """Work off the queue until it is empty, or until `stopped`; return how many entries."""
    worked_off = 0
    while not stopped() and (entry := take()):
        do(entry, stopped)
        worked_off += 1
    return worked_off


def take() -> DBTaskResult | None:
    """Claim the entry whose turn it is and return it, or None. No two workers get the same one."""
    close_old_connections()
    if not DBTaskResult.objects.ready().exists():  # all that an idle worker asks
        return None
    with transaction.atomic():
        entry: DBTaskResult | None = _in_turn().select_for_update(skip_locked=True).first()
        if entry is not None:
            entry.claim(f"{socket.gethostname()[:30]}-{os.getpid()}-{threading.get_native_id()}")
    return entry


def _in_turn() -> QuerySet[DBTaskResult]:
    """Return the entries that wait, in the order in which workers take them.

    A queue that has had no turn within an hour comes first.
    """
    of_queue = DBTaskResult.objects.order_by().filter(
        queue_name=OuterRef("queue_name"), priority=OuterRef("priority")
    )
    turns = of_queue.values("queue_name").annotate(at=Max(Coalesce("finished_at", "started_at")))
    waiting = DBTaskResult.objects.ready().annotate(last_turn=Subquery(turns.values("at")))
    return waiting.order_by("-priority", F("last_turn").asc(nulls_first=True), "enqueued_at")


def do(entry: DBTaskResult, stopped: Stopped) -> None:
    """Do the job of an entry that was taken. A job that fails is logged, and raises nothing.

    Raises django.db.Error when our own database is away.
    """
    token = _stopped.set(stopped)
    arguments = entry.args_kwargs
    try:
        entry.task.call(*arguments["args"], **arguments["kwargs"])
    except Exception as error:
        logger.exception("an entry of the queue failed: %s", arguments["args"])
        entry.set_failed(error)
    else:
        entry.set_successful(None)
    finally:
        _stopped.reset(token)


def stop_of_worker() -> Stopped:
    """Return what tells a job whether the worker that does it has been asked to end."""
    return _stopped.get()


def worked_off_long_ago(now: datetime) -> QuerySet[DBTaskResult]:
    """Return the entries that say nothing any more. What was done, the jobs themselves say."""
    taken = DBTaskResult.objects.exclude(started_at=None)
    is_old = Q(finished_at__lt=now - KEPT) | Q(started_at__lt=now - KEPT_UNFINISHED)
    return taken.filter(is_old)


def forget_worked_off(now: datetime) -> None:
    """Delete them."""
    worked_off_long_ago(now).delete()
