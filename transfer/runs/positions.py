"""Begins positions, sets them as an administrator decides (audited), and carries over old ones."""

from collections.abc import Iterator
from dataclasses import replace

from django.db import DatabaseError
from django.utils import timezone

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import BeginningUndecided, PositionLost, ReaderShared
from transfer.engine.position import Position
from transfer.engine.restore.answers import Answers
from transfer.engine.restore.carry_over import Renumbered, carry_over
from transfer.engine.restore.requested_position import Request
from transfer.engine.restore.set_position import Outcome, set_position
from transfer.engine.shop_all.batches import Batch, KnownBatch
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.models import Actor, AuditEntry, TransferTask
from transfer.rejects.put_back import put_back
from transfer.runs.execute import open_databases, prepare_task

# Refusals that ask the administrator which staged rows a bonus server has received.
QUESTIONS = (BeginningUndecided, ReaderShared, PositionLost)

# What an administrator says that a new bonus server has received of the staged rows.
RECEIVED = {
    "nothing": Request(start=True, accept_purged=True),
    "everything": Request(now=True),
    "as-of-clone": Request(as_of_clone=True),
}


def begin(
    task: TransferTask,
    actor: Actor,
    received: Request | None = None,
    *,
    seconds: float | None = None,
) -> Outcome | None:
    """Begins a docked server's position; where that is a decision, `received` says it.

    Returns what the decision means, or None where there was nothing to decide: a decision never
    replaces a position that has begun meanwhile. With `seconds` a page waits: see `open_databases`.
    Raises one of QUESTIONS where there is something to decide and `received` is not given; other
    TransferErrors.
    """
    with task.lock(), open_databases(task, "dock", seconds) as (source, target):
        try:
            position = prepare_task(task, source, target)
        except QUESTIONS:
            if received is None:
                raise
            target.database.roll_back()
            return _put(task, source, target, received, actor, dry_run=False)
        task.remember_reader(position.reader)
        return None


def carry_task_over(task: TransferTask, answers: Answers, *, dry_run: bool) -> list[Renumbered]:
    """Carries over a position of before a rebase: see `carry_over`. Nothing where there is none.

    Raises AlreadyRunning, other TransferErrors.
    """
    with task.lock(), open_databases(task, "rebase") as (source, target):
        carried = carry_over(
            task.kind_spec,
            source,
            target,
            task.all_readers,
            answers=answers,
            dry_run=dry_run,
        )
    return [carried] if carried else []


def put_position(task: TransferTask, request: Request, actor: Actor, *, dry_run: bool) -> Outcome:
    """Sets a task's position: see `set_position`. Raises AlreadyRunning, other TransferErrors."""
    with task.lock(), open_databases(task, "set_position") as (source, target):
        return _put(task, source, target, request, actor, dry_run=dry_run)


def _put(
    task: TransferTask,
    source: ShopAll,
    target: BonusDatabase,
    request: Request,
    actor: Actor,
    *,
    dry_run: bool,
) -> Outcome:
    """As `put_position`; the caller holds the task's lock and has opened its databases."""
    with source.snapshot():
        origin = source.identity.origin()
    batches = _known_batches(task, origin, request.batch)
    readers = replace(task.all_readers, batches=batches)
    outcome = set_position(
        task.kind_spec,
        source,
        target,
        request,
        readers,
        lambda position: put_back(task, target, position, is_put_forward=not request.stays),
        dry_run=dry_run,
    )
    if not dry_run:
        task.remember_reader(outcome.position.reader)
        new = {
            "batch": outcome.position.number,
            "waiting": outcome.sent,
            "given_up": outcome.lost.rows,
        }
        AuditEntry.record(actor, AuditEntry.Action.POSITION, task, new=new)
    return outcome


def _known_batches(task: TransferTask, origin: str, number: int | None) -> tuple[KnownBatch, ...]:
    """The latest batch that the history has of the task, and those with this number; nothing where
    shop All was made anew, and no run has read from it.
    """
    begun = task.runs.begun().that_may_have_moved()
    if not begun.filter(position_to__origin=origin).exists():
        return ()
    runs = [*begun[:1], *begun.filter(position_to__number=number, read__gt=0)]
    return tuple(
        KnownBatch(
            place.origin,
            place.reader or "",
            Batch(place.number, place.token or "", place.snapshot),
            run.finished_at or timezone.now(),
        )
        for run in runs
        if (place := Position.from_json(run.position_to)).number
    )


def carry_positions() -> Iterator[tuple[TransferTask, TransferError | None]]:
    """Writes positions from before the log into it; those of servers that can't be asked follow.

    Without a database of ours, on the way to a new installation, there are none.
    """
    try:
        tasks = list(TransferTask.objects.select_related("server"))
    except DatabaseError:
        return
    for task in tasks:
        try:
            if _carry(task):
                yield task, None
        except TransferError as error:
            yield task, error


def _carry(task: TransferTask) -> bool:
    kind = task.kind_spec
    with open_databases(task, "init_shop_all") as (source, target):
        with source.snapshot():
            origin = source.identity.origin()
        position = target.positions.existing(origin, kind)
        if position is None or position.number or not position.is_older_than_the_log:
            return False
        position = prepare_task(task, source, target)
        task.remember_reader(position.reader)
        return True
