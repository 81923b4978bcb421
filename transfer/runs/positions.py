"""Begins positions, sets them as an administrator decides (audited), and carries over old ones."""

from collections.abc import Iterator
from dataclasses import replace
from secrets import randbits

from django.db import DatabaseError
from django.utils import timezone

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import (
    BeginningUndecided,
    PositionLost,
    ReaderShared,
    RowsMissing,
    RowsPurged,
    SameDatabase,
)
from transfer.engine.position import Position
from transfer.engine.restore.answers import Answers
from transfer.engine.restore.carry_over import carry_over
from transfer.engine.restore.requested_position import Request
from transfer.engine.restore.set_position import Outcome, set_position
from transfer.engine.restore.translate import Renumbered
from transfer.engine.shop_all.batches import Batch, KnownBatch
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.models import Actor, AuditEntry, BonusServer, TransferTask
from transfer.models.recorded import recorded
from transfer.rejects.put_back import keep_out_of_copy, put_back
from transfer.runs.execute import open_databases, prepare_task
from transfer.runs.left_behind import has_come_back

# Refusals that ask the administrator which staged rows a bonus server has received; or whether it
# goes on without rows that are purged.
QUESTIONS = (BeginningUndecided, ReaderShared, PositionLost, RowsPurged)
# Their codes in the history.
CODES = {error.code for error in (*QUESTIONS, RowsMissing)}

# Whether this session got a lock, which it keeps until its transaction ends.
TRY_LOCK = "select pg_try_advisory_xact_lock(%s)"
SECONDS = 5  # that the database of another server is waited for

# What an administrator says that a new bonus server has received of the staged rows.
RECEIVED = {
    "nothing": Request(start=True, accept_purged=True),
    "everything": Request(now=True),
    "as-of-clone": Request(as_of_clone=True),
}
# What one says of a server that lacks purged rows.
WITHOUT_PURGED = Request(accept_purged=True)


def begin(
    task: TransferTask,
    actor: Actor,
    received: Request | None = None,
    *,
    seconds: float | None = None,
) -> Outcome | None:
    """Begins a docked server's position; where that is a decision, `received` says it.

    Returns what the decision means, or None where there was nothing to decide: a decision never
    replaces a position that has begun meanwhile; where one lacks purged rows, nothing but
    WITHOUT_PURGED is decided. With `seconds` a page waits: see `open_databases`.
    Raises one of QUESTIONS where there is something to decide and `received` is not given; other
    TransferErrors.
    """
    with task.lock(), open_databases(task, "dock", seconds) as (source, target):
        try:
            position = prepare_task(task, source, target)
        except QUESTIONS as question:
            has_begun = isinstance(question, RowsPurged)
            if received is None or (has_begun and received != WITHOUT_PURGED):
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
    if request.as_of_clone:
        _check_copy(task, target, origin)
    batches = _known_batches(task, origin, request.batch)
    readers = replace(task.all_readers, batches=batches)
    outcome = set_position(
        task.kind_spec,
        source,
        target,
        request,
        readers,
        lambda position: _put_back(task, source, target, position, request),
        recorded=recorded(origin),
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
        has_come_back(task, actor)
    return outcome


def _put_back(
    task: TransferTask,
    source: ShopAll,
    target: BonusDatabase,
    position: Position,
    request: Request,
) -> int:
    """Puts back what the server has rejected; returns the number of the last one, or 0.

    If its tables are a copy of another server's, these are that one's rejects. A copy of the whole
    database has them already.
    """
    original = _original(task, request)
    if original or request.as_of_clone:
        keep_out_of_copy(task)
    if request.as_of_clone:
        return 0
    return put_back(
        task, source, target, position, is_put_forward=not request.stays, original=original
    )


def _original(task: TransferTask, request: Request) -> str | None:
    """The reader of another server, of whose tables the request says that they are a copy."""
    own = [str(reader) for reader in task.readers]
    return None if request.reader in own else request.reader


def _check_copy(task: TransferTask, target: BonusDatabase, origin: str) -> None:
    """Raises SameDatabase where the server whose position this is has the same database."""
    position = target.positions.existing(origin, task.kind_spec)
    name = task.all_readers.in_use.get(position.reader or "") if position else None
    for original in BonusServer.objects.filter(name=name):
        if are_one_database(target, original):
            raise SameDatabase(database=target.name, other=original.name)


def are_one_database(target: BonusDatabase, other: BonusServer) -> bool:
    """Whether the other server has the same database: a lock that one session holds there is not
    free for another. One that does not answer is not known to be the same.
    """
    key = randbits(63)
    try:
        with BonusDatabase(other.dsn, other.name, "compare", seconds=SECONDS) as original:
            original.database.value(TRY_LOCK, [key])
            return not target.database.value(TRY_LOCK, [key])
    except TransferError:
        return False


def _known_batches(task: TransferTask, origin: str, number: int | None) -> tuple[KnownBatch, ...]:
    """The latest batch that the history has of the task, and those with this number; nothing if
    shop All was created again and no run has read from it.
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

    Yields nothing if our own database does not exist yet.
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
