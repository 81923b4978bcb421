"""Compares rows and sums on both sides of a task: is every staged row accounted for?"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from django.utils import timezone

from transfer.engine.errors import PositionLost
from transfer.engine.position import NOTHING_READ, Position, Totals, numbers
from transfer.engine.shop_all.batches import LoggedBatch, Readers
from transfer.engine.shop_all.reader import Staged
from transfer.errors import Difference, TransferError
from transfer.models import TransferTask
from transfer.runs.execute import open_databases
from transfer.servers.ask import ask_all

BATCHES_SHOWN = 10
PATIENTLY = 8.0  # seconds that a person or a program waits for a count


@dataclass(frozen=True)
class Reconciliation:
    """What was staged up to a position, beside what the bonus server's position says."""

    at: datetime
    staged: Staged
    totals: Totals
    rejects: int  # rows in the bonus server's table of rejects
    reader: str | None = None  # of the position
    decided: int = 0  # changed rows of its past; 0 while one waits for a decision
    explained: Decimal = Decimal(0)  # the part of the difference in sums that decisions explain

    @property
    def rejects_missing(self) -> int:
        """Rows counted as rejected and not to be found; negative: found and not counted."""
        return self.totals.rejected - self.rejects

    @property
    def rows_staged(self) -> int:
        """Including rows that were purged since."""
        return self.staged.rows + self.staged.purged_rows

    @property
    def rows_missing(self) -> int:
        """Rows staged and not accounted for; negative: accounted for and not staged."""
        return self.rows_staged - self.totals.read

    @property
    def amount_missing(self) -> Decimal:
        counted = self.totals.amount_applied + self.totals.amount_rejected
        return self.staged.amount + self.staged.purged_amount - counted - self.explained

    @property
    def holds(self) -> bool:
        return not (self.rows_missing or self.amount_missing or self.rejects_missing)

    def after(self, last: "Reconciliation | None") -> Self:
        """This result, with the difference in sums that decisions about changed rows explain.

        Shop All counts a changed amount as it is now, the bonus server as it was. That stays so
        after the decision, and also when the row is purged. So where all rows are accounted for,
        and changes were decided on since the `last` result, what the sums differ by is taken as
        explained from then on. Every later difference is shown.
        """
        is_same = last is not None and last.reader == self.reader
        before, known = (last.explained, last.decided) if last and is_same else (Decimal(0), 0)
        found = replace(self, explained=before)
        if found.decided <= known or found.rows_missing or found.rejects_missing:
            return found
        return replace(found, explained=before + found.amount_missing)

    def as_json(self) -> dict[str, Any]:
        """For our own database; numbers of any size as text."""
        return {
            "at": self.at.isoformat(),
            "staged": {name: str(value) for name, value in vars(self.staged).items()},
            "totals": self.totals.as_json(),
            "rejects": self.rejects,
            "reader": self.reader,
            "decided": self.decided,
            "explained": str(self.explained),
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        return cls(
            datetime.fromisoformat(fields["at"]),
            Staged(**numbers(fields["staged"])),
            Totals(**numbers(fields["totals"])),
            fields["rejects"],
            fields["reader"],
            fields["decided"],
            Decimal(fields["explained"]),
        )


def reconcile(task: TransferTask) -> Reconciliation | None:
    """Compares a task's two sides and stores the result; None when it has never moved anything.

    Raises TransferError.
    """
    return _store(task, _compare(task))


def reconcile_within(
    seconds: float, tasks: list[TransferTask]
) -> dict[TransferTask, Reconciliation | TransferError | None]:
    """Reconciles tasks at the same time, in `seconds` at most; each comes with its server.

    Never raises: an error is the task's answer.
    """
    answers = ask_all(tasks, _compare, seconds)
    return {
        task: answer if isinstance(answer, TransferError) else _store(task, answer)
        for task, answer in answers
    }


def _store(task: TransferTask, counted: Reconciliation | None) -> Reconciliation | None:
    """Stores the result, and returns it with what decisions explain of it."""
    result = counted.after(last_result(task)) if counted else None
    task.reconciled = result and result.as_json()
    TransferTask.objects.filter(pk=task.pk).update(reconciled=task.reconciled)
    return result


def last_result(task: TransferTask) -> Reconciliation | None:
    """The task's last reconciliation, from our own database."""
    return Reconciliation.from_json(task.reconciled) if task.reconciled else None


def _compare(task: TransferTask, seconds: float | None = None) -> Reconciliation | None:
    """Counts in both databases. Queries nothing of our own. With `seconds`, TooSlow after these."""
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
        with source.snapshot(kind):
            source.identity.check_position(kind, position, target.name)
            staged = source.reader.staged(kind, position)
            decided = source.changes.count_decided(kind, position) if kind.appends else 0
    if position.reader is None:  # it is older than the table of rejects
        rejects = position.totals.rejected
    now, totals = timezone.now(), position.totals
    return Reconciliation(now, staged, totals, rejects, position.reader, decided)


@dataclass(frozen=True)
class Log:
    """The latest batches that the log of shop All knows of a task, and the position in it."""

    position: Position | None
    batches: list[LoggedBatch]


def batch_log(task: TransferTask, readers: Readers, seconds: float | None = None) -> Log:
    """The log of the task; if its position is lost, of all its readers. Raises TransferError."""
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


def reconcile_all() -> Iterator[dict[str, Any]]:
    """Compares every task; yields how many were compared, and which servers did not answer.

    Raises Difference if something does not add up.
    """
    compared, silent, differing = 0, [], []
    yield {"reconciled": compared}
    for task in TransferTask.objects.select_related("server"):
        try:
            result = reconcile(task)
        except TransferError as error:
            silent.append({**task.audit_params(), "error": error.code})
        else:
            compared += result is not None
            if result is not None and not result.holds:
                differing.append(str(task))
        if not differing:  # after a difference, the run goes on to the end and reports it
            yield {"reconciled": compared, "not_reconciled": silent}
    if differing:
        raise Difference(tasks=", ".join(differing))
