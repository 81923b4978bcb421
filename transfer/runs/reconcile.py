"""Whether all that was staged is accounted for: rows and sums on both sides of a task."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from typing import Any

from transfer.engine.errors import PositionLost
from transfer.engine.position import NOTHING_READ, Position, Totals
from transfer.engine.shop_all.batch_log import LoggedBatch, Readers
from transfer.engine.shop_all.reader import Counted, Staged
from transfer.errors import Difference, TransferError
from transfer.models import TransferTask
from transfer.runs.execute import open_databases
from transfer.servers.ask import ask_all, too_slow

BATCHES_SHOWN = 10


@dataclass(frozen=True)
class Reconciliation:
    """What was staged up to the position, beside what the bonus server's position says."""

    task: TransferTask
    staged: Staged
    totals: Totals
    rejects: int  # that stand in the bonus server's database, or did

    @property
    def rejects_missing(self) -> int:
        """Rows counted as rejected and not to be found; negative: found and not counted."""
        return self.totals.rejected - self.rejects

    @property
    def rows_staged(self) -> int:
        """Those that have been purged since included."""
        return self.staged.rows + self.staged.purged_rows

    @property
    def rows_missing(self) -> int:
        """Rows staged and not accounted for; negative: accounted for and not staged."""
        return self.rows_staged - self.totals.read

    @property
    def amount_missing(self) -> Decimal:
        counted = self.totals.amount_applied + self.totals.amount_rejected
        return self.staged.amount + self.staged.purged_amount - counted

    @property
    def holds(self) -> bool:
        return not (self.rows_missing or self.amount_missing or self.rejects_missing)


def reconcile(
    task: TransferTask, seconds: float | None = None, known: Counted | None = None
) -> Reconciliation | None:
    """Compares a task's two sides; None when it has never moved anything. Raises TransferError.

    With `seconds`, TooSlow after these. All rows are counted, or those that came after `known`.
    """
    kind = task.kind_spec
    with open_databases(task, "reconcile", seconds) as (source, target):
        with source.snapshot():
            source.identity.check_columns(kind)
            origin = source.identity.origin()
        position = target.positions.existing(origin, kind)
        if position is None:
            if task.readers:
                raise PositionLost(database=target.name, kind=kind.name)
            return None
        if position.snapshot == NOTHING_READ:
            return None
        with target.database.transaction(commit=False):
            target.ensure_schema()
            position = target.positions.get(origin, kind) or position
            target.positions.check_overtaken(position)
            rejects = target.rejects.count(origin, kind)
        # After the position was read, so that all that it has moved is visible.
        with source.snapshot():
            source.identity.check_position(kind, position, target.name)
            staged = source.reader.staged(kind, position, known)
    if position.reader is None:  # it is older than the table of rejects
        rejects = position.totals.rejected
    return Reconciliation(task, staged, position.totals, rejects)


def remember(result: Reconciliation | None) -> None:
    """Notes what was counted, for whoever looks next and need not count it again."""
    if result is not None:
        counted = result.staged.counted.as_json()
        TransferTask.objects.filter(pk=result.task.pk).update(counted=counted)


@dataclass(frozen=True)
class Log:
    """The latest batches that the log of shop All knows of a task, and the position in it."""

    position: Position | None
    batches: list[LoggedBatch]


def batch_log(task: TransferTask, readers: Readers, seconds: float | None = None) -> Log:
    """With a lost position: of whoever may have read for the task. Raises TransferError."""
    with open_databases(task, "log", seconds) as (source, target):
        with source.snapshot():
            origin = source.identity.origin()
        position = target.positions.existing(origin, task.kind_spec)
        with source.snapshot():
            source.log.require()
            if position is not None and position.reader is not None:
                of = {position.reader}
            else:
                known = source.log.readers(task.kind_spec)
                of = known & readers.mine or known - readers.others
            return Log(position, source.log.logged([*of], BATCHES_SHOWN))


def ask_servers(
    tasks: list[TransferTask], seconds: float, *, anew: bool
) -> list[tuple[TransferTask, Reconciliation | TransferError | None, Log | TransferError]]:
    """Each task with its two sides compared and its log; all at once, in `seconds` at most.

    `anew`: all rows are counted, not only those that came since that was done last. Each task comes
    with its server. Never raises.
    """
    readers = {task: task.all_readers for task in tasks}
    known = {
        task: Counted.from_json(task.counted) if task.counted and not anew else None
        for task in tasks
    }
    questions: dict[str, Callable[[TransferTask, float], Any]] = {
        "sums": lambda task, seconds: reconcile(task, seconds, known[task]),
        "log": lambda task, seconds: batch_log(task, readers[task], seconds),
    }
    answers: dict[tuple[str, TransferTask], Any] = dict(
        ask_all(
            list(product(questions, tasks)),
            lambda asked, seconds: questions[asked[0]](asked[1], seconds),
            seconds,
            late=lambda asked, seconds: too_slow(asked[1], seconds),
        )
    )
    for task in tasks:
        answer = answers["sums", task]
        if isinstance(answer, Reconciliation) and answer.staged.counted is not known[task]:
            remember(answer)
    return [(task, answers["sums", task], answers["log", task]) for task in tasks]


def reconcile_all() -> Iterator[dict[str, Any]]:
    """Compares every task; yields how many were compared, and which servers could not be asked.

    Raises Difference when something does not add up.
    """
    compared, silent, differing = 0, [], []
    yield {"reconciled": compared}
    for task in TransferTask.objects.select_related("server"):
        try:
            result = reconcile(task)
        except TransferError as error:
            silent.append({**task.audit_params(), "error": error.code})
        else:
            remember(result)
            compared += result is not None
            if result is not None and not result.holds:
                differing.append(str(task))
        if not differing:  # else nobody stops it before the difference is told
            yield {"reconciled": compared, "not_reconciled": silent}
    if differing:
        raise Difference(tasks=", ".join(differing))
