"""What happens every minute: dead runs are closed, lost jobs and due tasks are put into the queue.

Any number of ticks may run at once, on any number of machines. A step asks our own database alone:
what waits for a network is a job in the queue. As a rule there is nothing to do: one query says so
for all steps.
"""

import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db import Error, OperationalError, connection, transaction
from django.db.models import Exists, QuerySet
from django.utils import timezone

from transfer.alerts.watch import watch
from transfer.causes.runs import ALREADY_RUNNING, STILL_QUEUED
from transfer.errors import AlreadyRunning, TransferError
from transfer.models import (
    AccountJob,
    ApiCall,
    Approval,
    Heartbeat,
    IssuedSecret,
    MaintenanceRun,
    MaintenanceTask,
    Notice,
    RecurringJob,
    Settings,
    TransferRun,
    TransferTask,
    Upload,
)
from transfer.models.failed_steps import Steps
from transfer.models.run_base import Run, State, Trigger
from transfer.models.schedules import ScheduledTask
from transfer.models.shared import Conditions, names_that_hold
from transfer.queue.worker import forget_worked_off, worked_off_long_ago
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
    failed: list[str] = field(default_factory=list)  # steps, and items of steps


def tick(way: str, now: datetime | None = None) -> Tick:
    """Runs all steps once. `way`: the command that ticks, for the overview.

    An exception ends its step, or the item that the step is at; everything else goes on. It is
    logged, counted and shown, see `Steps`. Raises django.db.Error when our own database is away.
    """
    ticking = _Ticking(f"{socket.gethostname()}: {way}", now or timezone.now())
    for name, act in STEPS.items():
        with ticking.steps.isolated(name):
            act(ticking)
    ticking.done.failed = [" ".join(one).strip() for one in ticking.steps.failed]
    return ticking.done


class _Ticking:
    """One tick: a method for each step, in the order of `STEPS`."""

    def __init__(self, source: str, now: datetime) -> None:
        self.source, self.now = source, now
        self.done, self.steps = Tick(), Steps()
        self._has_acted = False

    @cached_property
    def _with_work(self) -> set[str]:
        """The steps that had work when the tick began. All of them if that could not be asked at
        once: the step whose table is away then fails alone.
        """
        work = work_of_steps(self.now)
        try:
            return names_that_hold(work)
        except Error as error:
            logger.warning("each step looks for its work: %s", type(error).__name__)
            connection.close_if_unusable_or_obsolete()
            return set(work)

    def _may_have_work(self, step: str) -> bool:
        """Whether the step has to look for its rows. One that acts may make work for later ones."""
        self._has_acted = self._has_acted or step in self._with_work
        return self._has_acted

    def check_clock(self) -> None:
        """After the clock was set back, ticks and plans of the future count no more."""
        if self._may_have_work("clock") and Heartbeat.forget_later(self.now):
            for tasks in TASKS:
                tasks.objects.plan_earlier(self.now)

    def close_dead_runs(self) -> None:
        for runs in RUNS:
            self._each("dead_runs", runs.objects.dead(), self._interrupt)

    def _interrupt(self, run: Run) -> None:
        run.finish(State.INTERRUPTED)
        self.done.interrupted += 1

    def enqueue_lost_jobs(self) -> None:
        for jobs in JOBS:
            self._each("lost_jobs", jobs.objects.lost(), self._enqueue)

    def _enqueue(self, job: Any) -> None:
        job.enqueue()
        self.done.queued_again += 1

    def plan_new_tasks(self) -> None:
        for tasks in TASKS:
            self._each("new_tasks", tasks.objects.unplanned(), lambda task: task.plan(self.now))

    def open_due_runs(self) -> None:
        for tasks in TASKS:
            due = tasks.objects.due(self.now)
            self._each("due_tasks", due, lambda task: open_due(task, self.now, self.done))

    def beat(self) -> None:
        """A schedule that can't be written isn't alive."""
        if not any(step == "due_tasks" and item in MODELS for step, item in self.steps.failed):
            Heartbeat.beat(self.source, self.now)

    def expire_uploads(self) -> None:
        if self._may_have_work("uploads"):
            Upload.objects.expire(self.now)
            Approval.objects.expire(self.now)

    def drop_secrets(self) -> None:
        if self._may_have_work("secrets"):
            IssuedSecret.drop_expired()

    def note_api_calls(self) -> None:
        if self._may_have_work("api_calls"):
            ApiCall.note_past_hours()

    def forget_worked_off(self) -> None:
        if self._may_have_work("worked_off"):
            forget_worked_off(self.now)

    def enqueue_recurring_jobs(self) -> None:
        if self._may_have_work("recurring_jobs"):
            RecurringJob.objects.create_missing()
        self._each("recurring_jobs", RecurringJob.objects.lost(), lambda job: job.enqueue())

    def watch(self) -> None:
        watch(self.now)

    def _each(self, step: str, chosen: QuerySet[Any], act: Callable[[Any], None]) -> None:
        """Acts on each of the rows that no other tick has in hand; one that fails is put off.

        An OperationalError ends the step: it is our own database, and fails the next row, too.
        """
        if not self._may_have_work(step):
            return
        model = str(chosen.model._meta.model_name)
        with self.steps.isolated(step, model):
            for pk in chosen.values_list("pk", flat=True):
                item = f"{model} {pk}"
                if not self.steps.is_put_off(step, item):
                    with (
                        self.steps.isolated(step, item, but=OperationalError),
                        transaction.atomic(),
                    ):
                        locked = chosen.select_for_update(of=("self",), skip_locked=True)
                        if row := locked.filter(pk=pk).first():
                            act(row)


STEPS: dict[str, Callable[[_Ticking], None]] = {
    "clock": _Ticking.check_clock,
    "dead_runs": _Ticking.close_dead_runs,
    "lost_jobs": _Ticking.enqueue_lost_jobs,
    "new_tasks": _Ticking.plan_new_tasks,
    "due_tasks": _Ticking.open_due_runs,
    "heartbeat": _Ticking.beat,
    "uploads": _Ticking.expire_uploads,
    "secrets": _Ticking.drop_secrets,
    "api_calls": _Ticking.note_api_calls,
    "worked_off": _Ticking.forget_worked_off,
    "recurring_jobs": _Ticking.enqueue_recurring_jobs,
    "problems": _Ticking.watch,
}
MODELS = {str(tasks._meta.model_name) for tasks in TASKS}


def work_of_steps(now: datetime) -> Conditions:
    """Return when each step has work. Steps that always have are not among them."""
    rows: dict[str, list[QuerySet[Any]]] = {
        "clock": [Heartbeat.objects.filter(Heartbeat.later_than(now))],
        "dead_runs": [runs.objects.dead() for runs in RUNS],
        "lost_jobs": [jobs.objects.lost() for jobs in JOBS],
        "new_tasks": [tasks.objects.unplanned() for tasks in TASKS],
        "due_tasks": [tasks.objects.due(now) for tasks in TASKS],
        "uploads": [Upload.objects.overdue(now), Approval.objects.overdue(now)],
        "secrets": [IssuedSecret.objects.expired()],
        "api_calls": [ApiCall.of_past_hours()],
        "worked_off": [worked_off_long_ago(now)],
        "recurring_jobs": [RecurringJob.objects.lost()],
    }
    conditions = {step: [*map(Exists, querysets)] for step, querysets in rows.items()}
    conditions["recurring_jobs"] += RecurringJob.objects.missing()
    return conditions


def open_due(task: ScheduledTask, now: datetime, done: Tick) -> None:
    """Opens a run of a due task, and looks for the next time: missed ones count once."""
    by_schedule = task.next_run_at is not None and task.next_run_at <= now
    is_retry = task.retry_at is not None and task.retry_at <= now
    if not task.enabled or not (by_schedule or is_retry):
        return  # another tick was faster
    if not is_retry and (task.is_watched(now) or task.waits_for_retry(now)):
        task.plan_without_run(now)
        return
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
    """The reason for a run that was skipped because of this one."""
    began = (run.started_at or run.queued_at).astimezone(Settings.load().zone)
    if run.state == State.QUEUED:
        return TransferError(STILL_QUEUED, since=f"{began:%H:%M %Z}")
    return AlreadyRunning(ALREADY_RUNNING, holder=f"№ {run.pk}, {began:%H:%M %Z}")
