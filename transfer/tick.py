"""What happens every minute: dead runs are closed, lost jobs and due tasks are put into the queue.

Any number of ticks may run at once, on any number of machines.
"""

import logging
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db import OperationalError, transaction
from django.db.models import Exists, ExpressionWrapper, QuerySet, Value
from django.utils import timezone

from transfer.alerts.watch import concern, watch
from transfer.errors import AlreadyRunning, StillQueued, TransferError
from transfer.models import (
    AccountJob,
    Heartbeat,
    IssuedSecret,
    MaintenanceRun,
    MaintenanceTask,
    Notice,
    RejectedRow,
    Settings,
    TransferRun,
    TransferTask,
    Upload,
)
from transfer.models.run_base import Run, State, Trigger
from transfer.models.schedules import ScheduledTask
from transfer.rejects.closing import finish_interrupted
from transfer.runs.mirroring import mirror_overdue, overdue
from transfer.runs.start import RunIsOpen, open_run

logger = logging.getLogger(__name__)

TASKS: tuple[type[ScheduledTask], ...] = (TransferTask, MaintenanceTask)
RUNS: tuple[type[Any], ...] = (TransferRun, MaintenanceRun)
JOBS: tuple[type[Any], ...] = (*RUNS, Upload, AccountJob, Notice)


@dataclass
class Tick:
    """What a tick did."""

    interrupted: int = 0
    queued_again: int = 0
    opened: int = 0
    skipped: int = 0


def tick(way: str, now: datetime | None = None) -> Tick:
    """Looks at the schedule once. `way`: what ticks, for the overview.

    One query tells what there is to do, however many tasks there are.
    """
    now, done = now or timezone.now(), Tick()
    source = f"{socket.gethostname()}: {way}"
    if Heartbeat.forget_later(now):  # the clock was set back
        for tasks in TASKS:
            tasks.objects.plan_earlier(now)
    Heartbeat.begin(source, now)
    # A schedule that can't be written isn't alive, though a row may still be changed in its place.
    beat = Value(True), partial(Heartbeat.beat, source, now)
    steps: list[Step] = [*_recovery(done), *_schedule(now, done), beat, *_housekeeping(now)]
    answers = Heartbeat.objects.filter(pk=source).values_list(*(what for what, _ in steps)).get()
    for (_, do), is_there in zip(steps, answers, strict=True):
        if is_there:
            do()
    return done


# SQL: whether there is something to do; and what does it.
Step = tuple[Exists | ExpressionWrapper[Any] | Value, Callable[[], object]]


def _recovery(done: Tick) -> Iterator[Step]:
    def interrupt(runs: type[Any]) -> None:
        done.interrupted += runs.objects.dead().interrupt()

    def enqueue(jobs: type[Any]) -> None:
        done.queued_again += jobs.objects.enqueue_lost()

    for runs in RUNS:
        yield Exists(runs.objects.dead()), partial(interrupt, runs)
    for jobs in JOBS:
        yield Exists(jobs.objects.lost()), partial(enqueue, jobs)


def _schedule(now: datetime, done: Tick) -> Iterator[Step]:
    def each(chosen: QuerySet[Any], act: Callable[..., None]) -> None:
        for pk in chosen.values_list("pk", flat=True):
            _with_locked(chosen.model, pk, now, done, act)

    for tasks in TASKS:
        unplanned, due = tasks.objects.unplanned(), tasks.objects.due(now)
        yield Exists(unplanned), partial(each, unplanned, _plan)
        yield Exists(due), partial(each, due, open_due)


def _housekeeping(now: datetime) -> Iterator[Step]:
    yield Exists(Upload.objects.overdue(now)), partial(Upload.objects.expire, now)
    yield Exists(IssuedSecret.objects.expired()), IssuedSecret.drop_expired
    yield Exists(RejectedRow.objects.open()), _close_what_was_sent
    yield Exists(overdue(now)), partial(mirror_overdue, now)
    yield concern(now), partial(watch, now)


def _close_what_was_sent() -> None:
    """Comes late in a tick, since shop All may take its time to answer, or not answer at all."""
    try:
        finish_interrupted()
    except TransferError as error:
        logger.info("rejects that may have been sent: %s", error)


def _with_locked(tasks, pk, now, done, act) -> None:  # type: ignore[no-untyped-def]
    """Acts on a task that no other tick has in hand. What one task suffers, the others don't."""
    try:
        with transaction.atomic():
            locked = tasks.objects.select_for_update(of=("self",), skip_locked=True)
            if task := locked.filter(pk=pk).first():
                act(task, now, done)
    except OperationalError:  # it is our own database: the next task would fare no better
        raise
    except Exception:
        logger.exception("%s %s", tasks._meta.model_name, pk)


def _plan(task: ScheduledTask, now: datetime, done: Tick) -> None:
    if task.enabled and task.next_run_at is None:
        task.plan(now)


def open_due(task: ScheduledTask, now: datetime, done: Tick) -> None:
    """Opens a run of a due task, and looks for the next time: missed ones count once."""
    by_schedule = task.next_run_at is not None and task.next_run_at <= now
    is_retry = task.retry_at is not None and task.retry_at <= now
    if not task.enabled or not (by_schedule or is_retry):
        return  # another tick was faster
    opened = skipped = 0
    try:
        open_run(task, Trigger.SCHEDULE)
        opened = 1
    except RunIsOpen as overlap:
        if by_schedule:
            run = task.runs.model.of(task, Trigger.SCHEDULE)
            run.skip(why_skipped(overlap.run))
            skipped = 1
    if by_schedule:
        task.plan(now)
    else:
        task.retry_at = None
        task.save(update_fields=["retry_at"])
    done.opened += opened
    done.skipped += skipped


def why_skipped(run: Run) -> TransferError:
    """What to say of a run that could not take place because of this one."""
    began = (run.started_at or run.queued_at).astimezone(Settings.load().zone)
    if run.state == State.QUEUED:
        return StillQueued(since=f"{began:%H:%M %Z}")
    return AlreadyRunning(holder=f"№ {run.pk}, {began:%H:%M %Z}")
