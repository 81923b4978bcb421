"""What an administrator has to decide before a position begins, with the counts of each answer."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import JSONField, Max, Q, Sum, Value

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import PositionMoved, ReaderShared
from transfer.engine.position import Position
from transfer.engine.shop_all.batches import LoggedBatch
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.models import BonusServer, TransferRun, TransferTask
from transfer.runs.execute import open_databases, prepare_task
from transfer.runs.positions import QUESTIONS, are_one_database

BATCHES_OF_A_READER = 100


@dataclass(frozen=True)
class Clone:
    """The position that came with a copy of another bonus server's database."""

    server: str  # the original
    is_itself: bool  # not a copy, but the database of the original
    number: int  # its batch
    begun_at: datetime | None  # when that batch was begun, where the log has it
    sent: int  # rows that the copy lacks


@dataclass(frozen=True)
class EndedBatch:
    """A batch of some bonus server that its tables may have been copied after."""

    logged: LoggedBatch
    server: str
    rows: int | None  # as our own history has counted them
    ended_at: datetime | None

    @property
    def key(self) -> str:
        return f"{self.logged.reader}/{self.logged.number}"


@dataclass(frozen=True)
class Question:
    """Which of the staged rows a bonus server has received: the error that asks, and the answers.

    `rows` are staged; `purged` were removed from shop All, and can't be sent to it any more.
    """

    task: TransferTask
    error: TransferError
    rows: int
    purged: int
    clone: Clone | None
    batches: list[EndedBatch]


def question(task: TransferTask, seconds: float) -> Question:
    """The question about a task whose position could not begin, with the counts of each answer.

    Takes about `seconds` at most, and changes nothing. Raises TransferError where the databases do
    not answer, or the transfer would refuse for another reason.
    """
    with open_databases(task, "page", seconds) as (source, target):
        try:
            prepare_task(task, source, target, dry_run=True)
        except QUESTIONS as error:
            target.database.roll_back()
            return _question(task, error, source, target)
        raise PositionMoved  # it was decided a moment ago


def _question(
    task: TransferTask, error: TransferError, source: ShopAll, target: BonusDatabase
) -> Question:
    kind = task.kind_spec
    with source.snapshot():
        origin = source.identity.origin()
        rows = source.reader.count_waiting(kind, Position(origin, kind.name))
        purged, _ = source.reader.purged(kind)
        clone = None
        if isinstance(error, ReaderShared):
            clone = _clone(task, error, source, target, target.positions.get(origin, kind))
        logged = [
            batch
            for reader in sorted(source.log.readers(kind))
            for batch in source.log.logged([reader], BATCHES_OF_A_READER)
            if batch.is_valid
        ]
    return Question(task, error, rows, purged, clone, _with_ends(task, logged))


def _clone(
    task: TransferTask,
    error: ReaderShared,
    source: ShopAll,
    target: BonusDatabase,
    position: Position | None,
) -> Clone | None:
    if position is None:
        return None
    name = str(error.params["other"])
    servers = BonusServer.objects.filter(name=name)
    return Clone(
        name,
        any(are_one_database(target, server) for server in servers),
        position.number,
        source.log.begun_at(position),
        source.reader.count_waiting(task.kind_spec, position),
    )


def _with_ends(task: TransferTask, logged: list[LoggedBatch]) -> list[EndedBatch]:
    """Those of the batches that have ended, with what our own history knows of them.

    A batch has ended if its reader has begun a later one, or a run came to its end. `logged` has
    the batches of each reader together, the latest first. A server that was renamed has its
    present name.
    """
    readers = [*{batch.reader for batch in logged}]
    runs = (
        TransferRun.objects.filter(kind=task.kind, position_to__reader__in=readers, read__gt=0)
        .order_by()
        .values("position_to__reader", "position_to__number")
        .annotate(
            rows=Sum("read"),
            ended=Max("finished_at", filter=Q(position_to__reading=Value(None, JSONField()))),
        )
    )
    known = {(run["position_to__reader"], int(run["position_to__number"])): run for run in runs}
    names = task.all_readers.in_use
    ended, reader = [], ""
    for batch in logged:
        run = known.get((batch.reader, batch.number), {"rows": None, "ended": None})
        if batch.reader == reader or run["ended"]:
            server = names.get(batch.reader, batch.server)
            ended.append(EndedBatch(batch, server, run["rows"], run["ended"]))
        reader = batch.reader
    return ended
