"""Runs are put into the queue here, and taken out of it: by the tick, or by `db_worker`."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from django.apps import apps
from django.db import IntegrityError, transaction
from django_tasks_db.management.commands.db_worker import Worker
from django_tasks_db.models import DBTaskResult

from transfer.errors import AlreadyRunning
from transfer.models import Actor, AuditEntry, TransferRun
from transfer.models.run_base import Run, State, Trigger
from transfer.models.schedules import ScheduledTask
from transfer.runs import execute
from transfer.runs.maintenance import execute_maintenance

try:
    from django.tasks import task
except ImportError:  # Django before 6.0
    from django_tasks import task  # type: ignore[no-redef]

Stopped = Callable[[], bool]

_stopped: ContextVar[Stopped | None] = ContextVar("stopped", default=None)


class RunIsOpen(Exception):
    """The task has a run already, queued or running: see `run`."""

    def __init__(self, run: Run) -> None:
        self.run = run
        super().__init__(str(run))


def run_now(
    scheduled: ScheduledTask, actor: Actor, trigger: Trigger = Trigger.MANUAL, **fields: Any
) -> Any:
    """Puts a run of the task into the queue, and returns it. Raises RunIsOpen.

    A task that is switched off or paused runs this once, too. `fields` of the run: dry_run.
    """
    with transaction.atomic():
        run = open_run(scheduled, trigger, actor, **fields)
        what = "dry_run" if fields.get("dry_run") else "run"
        AuditEntry.record(actor, AuditEntry.Action.RUN, scheduled, new={what: run.pk})
    return run


def open_run(
    scheduled: ScheduledTask, trigger: Trigger, actor: Actor | None = None, **fields: Any
) -> Any:
    """A new run in the queue. Raises RunIsOpen."""
    opened = scheduled.runs
    run = opened.model.of(scheduled, trigger, actor.user if actor else None, **fields)
    try:
        with transaction.atomic():
            run.save()
            enqueue(run)
    except IntegrityError:
        current = opened.open().first()
        if current is None:  # it ended this very moment
            return open_run(scheduled, trigger, actor, **fields)
        raise RunIsOpen(current) from None
    return run


def enqueue(run: Run) -> None:
    """Puts an open run into the queue; twice does no harm, since one worker alone can claim it."""
    run.queue_entry = execute_queued.enqueue(str(run._meta.model_name), run.pk).id
    run.save(update_fields=["queue_entry"])


@task()
def execute_queued(model: str, pk: int) -> None:
    """Executes a run, unless it was cancelled or is executed elsewhere."""
    run = apps.get_model("transfer", model).objects.queued().filter(pk=pk).first()
    if run is None or run.task is None:
        return
    # If somebody holds the lock, the run stays queued, and the tick enqueues it again.
    with noted_stop() as stopped, suppress(AlreadyRunning), execute.task_lock(run.task):
        execute.close_dead(run.task)
        if not run.claim():
            return
        if isinstance(run, TransferRun):
            # Nobody cancelled it: the worker has to end, and the run is tried again soon.
            execute.execute(run, run.task, stopped=stopped, stopped_as=State.INTERRUPTED)
        else:
            execute_maintenance(run)


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
