"""Executes runs of transfer tasks: moves the rows, counts them, mirrors the rejects."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone

from transfer.causes.ledger import POSITION_MOVED
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.in_log import in_log, lasts
from transfer.engine.kind import Kind
from transfer.engine.knowledge import Knowledge
from transfer.engine.move import transfer as move
from transfer.engine.move.transfer import CHUNK_ROWS, prepare
from transfer.engine.postgres.pool import pooled
from transfer.engine.received import Position, Recorded
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import ShopAllWentBack, TransferError
from transfer.models import Actor, LogPlace, TransferRun, TransferTask
from transfer.models.runs import State, Trigger
from transfer.queue.worker import Stopped
from transfer.rejects.discards import write_discards
from transfer.rejects.mirror import mirror, mirror_chunk
from transfer.runs.backlog import waiting_at
from transfer.runs.delays import seconds_taken
from transfer.runs.knowledge import knowledge_of, take_name
from transfer.runs.left_behind import has_come_back
from transfer.runs.needed import installation_of, keep_needed_rows
from transfer.runs.restored import confirm_by_itself
from transfer.runs.server_restored import tell_if_restored
from transfer.statements.copies import take_back_server

Progress = Callable[[TransferRun], None]


def run_here(
    task: TransferTask,
    trigger: Trigger,
    *,
    chunk_rows: int = CHUNK_ROWS,
    progress: Progress = lambda run: None,
    stopped: Stopped = lambda: 0,
) -> TransferRun:
    """Run the task in this process and return its run, closed.

    A run that waits in the queue is taken over. `progress` hears of the start and of each chunk;
    `stopped` is asked after each chunk. Raises AlreadyRunning; the run stores any other failure.
    """
    with task.lock():
        run = _started(task, trigger)
        with run.failures():
            execute(run, task, chunk_rows=chunk_rows, progress=progress, stopped=stopped)
    return run


def execute_queued(run: TransferRun, stopped: Stopped) -> None:
    """Execute a run of the queue; it is tried again soon if the worker has to end.

    It gives way after a chunk if jobs of other servers wait, and no worker is free for them.
    """
    task: Any = run.task
    execute(run, task, stopped=stopped, stopped_as=State.INTERRUPTED, others_wait=run.others_wait)


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
    others_wait: Callable[[], bool] = lambda: False,
    keeps_connections: bool = False,
) -> None:
    """Execute a run that has started, and close it, unless it gives way. Raises what it fails of.

    It gives way if `others_wait` after a chunk and rows are left: it is queued again, and goes on
    from there. A process that goes on may keep the connections of a run that ends well for the
    next one. Where shop All went back in time and the settings say so, it is confirmed, and the run
    begins again.
    """
    ended = partial(run.has_to_end, stopped, stopped_as, others_wait)
    for is_last in (False, True):
        try:
            with open_databases(task, f"run {run.pk}", keeps=keeps_connections) as opened:
                state, waiting = _move(run, task, *opened, chunk_rows, progress, ended)
            break
        except ShopAllWentBack:
            if is_last or not confirm_by_itself():
                raise
    if state == State.QUEUED:
        if run.give_way():
            return
        state = State.CANCELLED  # a moment ago
    run.finish(state, waiting=waiting)


@contextmanager
def open_databases(
    task: TransferTask, purpose: str, seconds: float | None = None, *, keeps: bool = False
) -> Iterator[tuple[ShopAll, BonusDatabase]]:
    """Open a task's databases. PIN codes stay out of error texts.

    With `seconds`, see `Database`, a page waits: then, and with `keeps`, by connections of the
    pool.
    """
    options: Any = {"secret": bool(task.kind_spec.secrets), "seconds": seconds}
    source = ShopAll(settings.SHOP_ALL_DATABASE_URL, purpose, **options)
    target = BonusDatabase(task.server.dsn, task.server.name, purpose, **options)
    is_pooled = keeps or seconds is not None
    with pooled(source) if is_pooled else source, pooled(target) if is_pooled else target:
        yield source, target


def _move(
    run: TransferRun,
    task: TransferTask,
    source: ShopAll,
    target: BonusDatabase,
    chunk_rows: int,
    progress: Progress,
    ended: Callable[[], State | None],
) -> tuple[State, int]:
    """Move the rows of a run, and return how it ended, and how many rows wait then.

    1. Checks both sides.
    2. Counts what an earlier process has moved and not counted, on the days that shop All has of
       it; mirrors rejects.
    3. Tells the server which rejects people have discarded.
    4. Notes how far shop All's log goes now; tells purges what is needed.
    5. Moves chunk after chunk; counts each, and mirrors its rejects.
    """
    kind, knowledge = task.kind_spec, knowledge_of(task.server)
    position = prepare(kind, source, target, knowledge, dry_run=False)
    has_come_back(task, Actor(""))
    take_name(task.server, position)
    if run.position_from is None:
        tell_if_restored(task, run, position)
    take_back_server(source, task.server, position)
    counted = _settle(run, position)
    mirror(task, source, target, position)
    position = write_discards(task, target, position)
    TransferTask.objects.filter(pk=task.pk).update(mirrored_at=timezone.now())
    expected = _note_log(kind, source, target, position, knowledge)
    if run.position_from is None:
        run.begin(position, expected, counted)
    else:
        run.go_on_with(expected)
    progress(run)
    for chunk in move.transfer(
        kind, source, target, position.origin, knowledge, chunk_rows=chunk_rows, dry_run=False
    ):
        if chunk.before.version != position.version and chunk.before.totals != position.totals:
            # Another process, which is dying or cut off, landed a chunk after we had looked.
            _settle(run, chunk.before)
            mirror(task, source, target, chunk.before)
        elif chunk.before.place != position.place:
            run.go_back(chunk.before)
        run.add_chunk(chunk.totals, chunk.after, seconds_taken(chunk, source))
        mirror_chunk(task, source, target, chunk, run)
        position = chunk.after
        progress(run)
        if (state := ended()) and (left := _count_waiting(run, kind, source, target, position)):
            return state, left
    waiting = _count_waiting(run, kind, source, target, position)
    return State.REJECTS if run.rejected else State.SUCCEEDED, waiting


def _note_log(
    kind: Kind, source: ShopAll, target: BonusDatabase, position: Position, knowledge: Knowledge
) -> int:
    """Note in our own history how far the log goes; return how many rows of it the server needs.

    Tells shop All, if it does not know, that purges must not remove them.
    """
    installation = installation_of(knowledge)
    with target.database.transaction(commit=False), source.snapshot(kind):
        end = source.log.end(kind)
        at = in_log(kind, source, target, position)
        known = source.installations.own(kind, installation)
        waiting = source.counts.waiting_in_log(kind, at.place, lasts(target, at))
    LogPlace.objects.note_end(position.origin, kind.name, end)
    if known is None or known.needs_from > at.place.number + 1:
        keep_needed_rows(kind, source, installation, at.place)
    return waiting.rows


def _settle(run: TransferRun, position: Position) -> Recorded | None:
    """Count what was moved up to the position and is not counted yet; return up to where it was.

    It belongs to the last run that has moved anything: the one before, whose process was killed, or
    this one, which was opened again. A run that was opened again begins anew where the server's
    position is another one than it has left, since a restore of the server.
    """
    last: TransferRun | None = run
    if not run.has_moved:
        before = TransferRun.objects.filter(task=run.task, pk__lt=run.pk)
        last = before.begun().that_may_have_moved().first()
    if last is None:
        return None
    last.settle(position)
    counted = last.counted_to
    is_restored = counted is not None and counted.is_ahead_of(position)
    if run.position_from is not None and (last is not run or is_restored):
        run.begin(position, run.expected, counted)
    return counted


def _count_waiting(
    run: TransferRun, kind: Kind, source: ShopAll, target: BonusDatabase, position: Position
) -> int:
    """Return how many committed rows are not moved, and note where the run has ended.

    That is not where its last chunk ended if it has only put the position back to a fork.
    """
    with target.database.transaction(commit=False):
        at_end = target.positions.get(position.origin, kind)
        if at_end is None:
            raise TransferError(POSITION_MOVED)
        with source.snapshot(kind):
            waiting = waiting_at(kind, source, target, at_end)
    run.end_at(at_end)
    return waiting.rows


def rehearse(
    task: TransferTask,
    *,
    chunk_rows: int = CHUNK_ROWS,
    progress: Progress = lambda run: None,
    stopped: Stopped = lambda: 0,
) -> tuple[TransferRun, dict[str, int]]:
    """Do what `run_here` would do, and roll it back. Nothing of it stays in the history.

    Returns a run that was not saved, and how many rows each check would reject.
    Raises TransferError.
    """
    run = TransferRun.of(task, TransferRun.Trigger.COMMAND)
    reasons: Counter[str] = Counter()
    knowledge: Knowledge = knowledge_of(task.server)
    with open_databases(task, "dry run") as (source, target):
        position = prepare(task.kind_spec, source, target, knowledge, dry_run=True)
        with source.snapshot(task.kind_spec):
            run.expected = waiting_at(task.kind_spec, source, target, position).rows
        progress(run)
        for chunk in move.transfer(
            task.kind_spec,
            source,
            target,
            position.origin,
            knowledge,
            chunk_rows=chunk_rows,
            dry_run=True,
        ):
            run.totals += chunk.totals
            reasons.update(chunk.reasons)
            progress(run)
            if stopped():
                break
    run.waiting = max(0, run.expected - run.totals.read)
    complete = State.REJECTS if run.rejected else State.SUCCEEDED
    run.state = State.CANCELLED if stopped() else complete
    return run, reasons
