"""Who works off the queue, and how a signal ends it."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django_tasks_db.management.commands.db_worker import Worker
from django_tasks_db.models import DBTaskResult

Stopped = Callable[[], int]  # the signal that asks for the end; 0 as long as there is none
_stopped: ContextVar[Stopped | None] = ContextVar("stopped", default=None)


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
    """A worker that ends with the queue, and when it is stopped after the entry under way."""

    def __init__(self, stopped: Stopped) -> None:
        super().__init__(
            queue_names=["*"],
            interval=0,
            batch=True,
            backend_name="default",
            startup_delay=False,
            max_tasks=None,
            worker_id=f"{socket.gethostname()[:30]}-{os.getpid()}-{threading.get_native_id()}",
            excluded_queue_names=[],
        )
        self.stopped = stopped
        self.worked_off = 0

    def run_task(self, db_task_result: DBTaskResult) -> None:
        super().run_task(db_task_result)
        self.worked_off += 1
        self.running = not self.stopped()


def stop_of_worker() -> Stopped:
    """Tells a job whether the worker that does it has been asked to end."""
    if stopped := _stopped.get():
        return stopped
    # `db_worker` notes the signal itself: the handler is a method of its worker.
    worker = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return lambda: isinstance(worker, Worker) and not worker.running
