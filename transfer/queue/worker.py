"""Who works off the queue, and how it is told to end."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django_tasks_db.management.commands.db_worker import Worker
from django_tasks_db.models import DBTaskResult

try:
    from django.tasks import task
except ImportError:  # Django before 6.0
    from django_tasks import task  # type: ignore[no-redef]

__all__ = ["task"]

Stopped = Callable[[], bool]
_stopped: ContextVar[Stopped | None] = ContextVar("stopped", default=None)


@contextmanager
def noted_stop() -> Iterator[Stopped]:
    """Whether whoever works off the queue has been told to end.

    `drain` says so itself. `db_worker` only waits for the task under way, so its signal is noted
    here beside it, and the run ends after the chunk under way.
    """
    given = _stopped.get()
    if given is not None or threading.current_thread() is not threading.main_thread():
        yield given or (lambda: False)
        return
    noted = threading.Event()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in handlers.items() if callable(handler)}

    def note(number: int, frame: Any) -> None:
        noted.set()
        before[signal.Signals(number)](number, frame)

    for number in before:
        signal.signal(number, note)
    try:
        yield noted.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def drain(stopped: Stopped) -> int:
    """Works off the queue until it is empty, or until `stopped`; returns how many entries."""
    if stopped():
        return 0
    worker = Drain(stopped)
    token = _stopped.set(stopped)
    try:
        worker.run()
    finally:
        _stopped.reset(token)
    return worker.worked_off


class Drain(Worker):
    """A worker that ends with the queue, and after the entry under way when it is told to."""

    def __init__(self, stopped: Stopped) -> None:
        who = f"{socket.gethostname()[:30]}-{os.getpid()}-{threading.get_native_id()}"
        super().__init__(
            queue_names=["*"],
            interval=0,
            batch=True,
            backend_name="default",
            startup_delay=False,
            max_tasks=None,
            worker_id=who,
            excluded_queue_names=[],
        )
        self.stopped = stopped
        self.worked_off = 0

    def run_task(self, db_task_result: DBTaskResult) -> None:
        super().run_task(db_task_result)
        self.worked_off += 1
        self.running = not self.stopped()


@contextmanager
def soft_stop() -> Iterator[Callable[[], int]]:
    """Ctrl-C and SIGTERM only note themselves: the block asks for the signal when it can stop.

    A second one ends the process as usual.
    """
    noted: list[int] = []

    def note(number: int, _frame: object) -> None:
        noted.append(number)
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: noted[0] if noted else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
