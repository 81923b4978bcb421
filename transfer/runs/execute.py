"""Executes runs of transfer tasks: moves the rows, counts them, mirrors the rejects."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.move import transfer as move
from transfer.engine.move.prepare import prepare
from transfer.engine.move.transfer import CHUNK_ROWS
from transfer.engine.position import Position
from transfer.engine.postgres.pool import pooled
from transfer.engine.restore.carry_over import carry_over
from transfer.engine.shop_all.source import ShopAll
from transfer.models import Actor, TransferRun, TransferTask
from transfer.models.recorded import recorded
from transfer.models.runs import State, Trigger
from transfer.queue.worker import Stopped
from transfer.rejects.mirror import mirror
from transfer.rejects.put_back import put_back_if_lost
from transfer.rejects.reopening import reopen_lost
from transfer.runs.delays import ask_after
from transfer.runs.left_behind import has_come_back

Progress = Callable[[TransferRun], None]


def run_here(
    task: TransferTask,
    trigger: Trigger,
    *,
    chunk_rows: int = CHUNK_ROWS,
    progress: Progress = lambda run: None,
    stopped: Stopped = lambda: 0,
) -> TransferRun:
    """Runs the task in this process and returns its run, closed.

    A run that waits in the queue is taken over. `progress` hears of the start and of each chunk;
    `stopped` is asked after each chunk. Raises AlreadyRunning; the run stores any other failure.
    """
    with task.lock():
        run = _started(task, trigger)
        with run.failures():
            execute(run, task, chunk_rows=chunk_rows, progress=progress, stopped=stopped)
    return run


def execute_queued(run: TransferRun, stopped: Stopped) -> None:
    """Executes a run of the queue; it is tried again soon if the worker has to end."""
    task: Any = run.task
    execute(run, task, stopped=stopped, stopped_as=State.INTERRUPTED)


def _started(task: TransferTask, trigger: Trigger) -> TransferRun:
    while True:
        queued = task.runs.queued().first()
        if queued is None:
            run = TransferRun.of(task, trigger)
            with suppress(IntegrityError):  # one was queued a moment ago
                run.start()
                return run
        elif queued.claim():
            return queued


def execute(
    run: TransferRun,
    task: TransferTask,
    *,
    chunk_rows: int = CHUNK_ROWS,
    progress: Progress = lambda run: None,
    stopped: Stopped,
    stopped_as: State = State.CANCELLED,
    keeps_connections: bool = False,
) -> None:
    """Executes a run that has started, and closes it. Raises what it fails of.

    A process that goes on may keep the connections of a run that ends well for the next one.
    """
    ended = partial(run.has_to_end, stopped, stopped_as)
    with open_databases(task, f"run {run.pk}", keeps=keeps_connections) as (source, target):
        state, waiting = _move(run, task, source, target, chunk_rows, progress, ended)
    run.finish(state, waiting=waiting)


@contextmanager
def open_databases(
    task: TransferTask, purpose: str, seconds: float | None = None, *, keeps: bool = False
) -> Iterator[tuple[ShopAll, BonusDatabase]]:
    """Opens a task's databases. PIN codes stay out of error texts.

    With `seconds`, see `Database`, a page waits: then, and with `keeps`, by connections of the
    pool.
    """
    options: Any = {"secret": bool(task.kind_spec.secrets), "seconds": seconds}
    source = ShopAll(settings.SHOP_ALL_DATABASE_URL, purpose, **options)
    target = BonusDatabase(task.server.dsn, task.server.name, purpose, **options)
    is_pooled = keeps or seconds is not None
    with pooled(source) if is_pooled else source, pooled(target) if is_pooled else target:
        yield source, target


def prepare_task(
    task: TransferTask, source: ShopAll, target: BonusDatabase, *, dry_run: bool = False
) -> Position:
    """Checks both sides before a run: see `prepare`. A position of before a rebase in which the
    server took no part is carried over first. Raises what `carry_over` and `prepare` raise.
    """

    def carry() -> bool:
        carried = carry_over(task.kind_spec, source, target, task.all_readers, dry_run=dry_run)
        if carried and not dry_run:
            reopen_lost(task.kind_spec, Actor(""))
        return carried is not None

    return prepare(
        task.kind_spec,
        source,
        target,
        lambda: task.all_readers,
        task.has_recorded,
        recorded,
        carry,
        dry_run=dry_run,
    )


def _move(
    run: TransferRun,
    task: TransferTask,
    source: ShopAll,
    target: BonusDatabase,
    chunk_rows: int,
    progress: Progress,
    ended: Callable[[], State | None],
) -> tuple[State, int]:
    kind = task.kind_spec
    position = prepare_task(task, source, target)
    put_back_if_lost(task, source, target, position)
    task.remember_reader(position.reader)
    has_come_back(task, Actor(""))
    _settle(run, position)
    mirror(task, target, position)
    TransferTask.objects.filter(pk=task.pk).update(mirrored_at=timezone.now())
    expected, waiting = count_waiting(source, task, position), None
    if run.position_from is None:
        run.begin(position, expected)
    else:
        run.go_on_with(expected)
    progress(run)
    for chunk in move.transfer(
        kind, source, target, position.origin, chunk_rows=chunk_rows, rows_wait=expected > 0
    ):
        if chunk.before != position:
            # Another process, which is dying or cut off, landed a chunk after we had looked.
            _settle(run, chunk.before)
            mirror(task, target, chunk.before)
        seconds, waiting = ask_after(chunk, task, source)
        run.add_chunk(chunk.totals, chunk.after, seconds)
        if chunk.totals.rejected:
            mirror(task, target, chunk.after, run)
        position = chunk.after
        progress(run)
        if (state := ended()) and (left := count_waiting(source, task, position)):
            return state, left
    if waiting is None:
        waiting = count_waiting(source, task, position)
    return State.REJECTS if run.rejected else State.SUCCEEDED, waiting


def _settle(run: TransferRun, position: Position) -> None:
    """Counts what was moved up to the position and is not counted yet.

    It belongs to the last run that has moved anything: the one before, whose process was killed, or
    this one, which was opened again.
    """
    if run.has_moved:
        run.settle(position)
        return
    before = TransferRun.objects.filter(task=run.task, pk__lt=run.pk)
    previous = before.begun().that_may_have_moved().first()
    if previous is not None:
        previous.settle(position)
    if run.position_from is not None:
        run.begin(position, run.expected)


def count_waiting(source: ShopAll, task: TransferTask, position: Position) -> int:
    """Counts committed rows that the task has not moved."""
    with source.snapshot(task.kind_spec):
        source.reader.read_in_order()
        return source.reader.count_waiting(task.kind_spec, position)


def rehearse(
    task: TransferTask,
    *,
    chunk_rows: int = CHUNK_ROWS,
    progress: Progress = lambda run: None,
    stopped: Stopped = lambda: 0,
) -> tuple[TransferRun, dict[str, int]]:
    """Does what `run_here` would do, and rolls it back. Nothing of it stays in the history.

    Returns a run that was not saved, and how many rows each check would reject.
    Raises TransferError.
    """
    run = TransferRun.of(task, TransferRun.Trigger.COMMAND)
    reasons: Counter[str] = Counter()
    with open_databases(task, "dry run") as (source, target):
        position = prepare_task(task, source, target, dry_run=True)
        run.expected = count_waiting(source, task, position)
        progress(run)
        for chunk in move.transfer(
            task.kind_spec, source, target, position.origin, chunk_rows=chunk_rows, dry_run=True
        ):
            run.totals += chunk.totals
            position = chunk.after
            reasons.update(chunk.reasons)
            progress(run)
            if stopped():
                break
        run.waiting = count_waiting(source, task, position)
    complete = State.REJECTS if run.rejected else State.SUCCEEDED
    run.state = State.CANCELLED if stopped() else complete
    return run, reasons
