"""Runs are put into the queue here, and taken out of it: by the tick, or by `db_worker`."""

from contextlib import suppress
from typing import Any

from django.apps import apps
from django.db import IntegrityError, transaction

from transfer.errors import AlreadyRunning
from transfer.models import Actor, AuditEntry, TransferRun
from transfer.models.run_base import Run, State, Trigger
from transfer.models.schedules import ScheduledTask
from transfer.queue.worker import noted_stop, task
from transfer.runs import execute
from transfer.runs.maintenance import execute_maintenance


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
