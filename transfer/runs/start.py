"""Runs are opened here: by hand, by a command, by the schedule."""

from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from transfer.causes.cause import Cause
from transfer.models import Actor, AuditEntry
from transfer.models.run_base import Run, Trigger
from transfer.models.schedules import ScheduledTask


class RunIsOpen(Exception):
    """The task has a run already, queued or running: see `run`."""

    def __init__(self, run: Run) -> None:
        self.run = run
        super().__init__(str(run))


def run_now(
    task: ScheduledTask, actor: Actor, trigger: Trigger = Trigger.MANUAL, **fields: Any
) -> Any:
    """Puts a run of the task into the queue, and returns it. Raises RunIsOpen.

    A task that is switched off or paused runs this once, too. `fields` of the run: dry_run.
    """
    with transaction.atomic():
        run = open_run(task, trigger, actor, **fields)
        what = "dry_run" if fields.get("dry_run") else "run"
        AuditEntry.record(actor, AuditEntry.Action.RUN, task, new={what: run.pk})
    return run


def open_run(
    task: ScheduledTask, trigger: Trigger, actor: Actor | None = None, **fields: Any
) -> Any:
    """A new run in the queue. Raises RunIsOpen."""
    run = task.runs.model.of(task, trigger, actor.user if actor else None, **fields)
    try:
        with transaction.atomic():
            run.save()
            run.enqueue()
    except IntegrityError:
        current = task.runs.open().first()
        if current is None:  # it ended this very moment
            return open_run(task, trigger, actor, **fields)
        raise RunIsOpen(current) from None
    return run


def go_on(tasks: Iterable[ScheduledTask]) -> None:
    """Try these tasks again within a minute: what they have refused for is decided.

    Their failures are no problem any more. What is switched off stays off, and a pause goes on.
    """
    now = timezone.now()
    for task in tasks:
        same = type(task).objects.filter(pk=task.pk)
        same.update(failures=0)
        ready = same.enabled().filter(Q(paused_until=None) | Q(paused_until__lte=now))
        ready.update(retry_at=now)


def refused_for(cause: Cause, tasks: Iterable[Any]) -> list[Any]:
    """Return those of these tasks, from `attach_runs`, whose last run has ended with this cause."""
    return [task for task in tasks if task.last_run and task.last_run.error_code == cause.code]
