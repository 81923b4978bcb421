"""Compares rows and sums on both sides of a task: is every staged row accounted for?"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from django.conf import settings
from django.utils import timezone

from transfer.causes.runs import DIFFERENCE
from transfer.engine.in_log import exceptions, in_log
from transfer.engine.received import NOTHING, WHOLE, Totals
from transfer.engine.shop_all.counts import Count
from transfer.engine.shop_all.gone import Difference as LinesDiffer, compare
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.installed import installed_kinds
from transfer.models import TransferTask
from transfer.runs.execute import open_databases
from transfer.servers.ask import ask_all

PATIENTLY = 8.0  # seconds that a person or a program waits for a count


@dataclass(frozen=True)
class Reconciliation:
    """What the log says that a server has read, beside what the server itself has counted.

    `logged`: rows and sum of what the server has received of the log. `lost`: of what it has
    received and shop All has lost. `rejects`: rows in the server's table of rejects, `open`: those
    of them that wait for a decision.
    """

    at: datetime
    logged: Count
    lost: Count
    totals: Totals
    rejects: int
    open: int

    @property
    def rows_missing(self) -> int:
        """Rows of the log that the server has not counted; negative: counted and not in the log."""
        return self.logged.rows + self.lost.rows - self.totals.read

    @property
    def amount_missing(self) -> Decimal:
        counted = self.totals.amount_applied + self.totals.amount_rejected
        return self.logged.amount + self.lost.amount - counted

    @property
    def holds(self) -> bool:
        return not (self.rows_missing or self.amount_missing)

    def as_json(self) -> dict[str, Any]:
        """Return it for our own database; numbers of any size as text."""
        return {
            "at": self.at.isoformat(),
            "logged": {"rows": str(self.logged.rows), "amount": str(self.logged.amount)},
            "lost": {"rows": str(self.lost.rows), "amount": str(self.lost.amount)},
            "totals": self.totals.as_json(),
            "rejects": self.rejects,
            "open": self.open,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Return the result that `as_json` wrote."""
        return cls(
            datetime.fromisoformat(fields["at"]),
            _count(fields["logged"]),
            _count(fields["lost"]),
            Totals.from_json(fields["totals"]),
            fields["rejects"],
            fields["open"],
        )


def _count(fields: dict[str, str]) -> Count:
    return Count(int(fields["rows"]), Decimal(fields["amount"]))


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


def _store(task: TransferTask, result: Reconciliation | None) -> Reconciliation | None:
    """Store the result, and return it."""
    task.reconciled = result and result.as_json()
    TransferTask.objects.filter(pk=task.pk).update(reconciled=task.reconciled)
    return result


def last_result(task: TransferTask) -> Reconciliation | None:
    """The task's last reconciliation, from our own database."""
    return Reconciliation.from_json(task.reconciled) if task.reconciled else None


def _compare(task: TransferTask, seconds: float | None = None) -> Reconciliation | None:
    """Count in both databases. Queries nothing of our own. With `seconds`, TooSlow after these."""
    kind = task.kind_spec
    with open_databases(task, "reconcile", seconds) as (source, target):
        with source.snapshot():
            source.identity.check_columns(kind)
            origin = source.identity.origin()
        # Shop All after the position was read, so that all that it has passed is visible.
        with target.database.snapshot():
            position = target.positions.get(origin, kind)
            if position is None:
                return None
            rejects, open_ = target.rejects.count(kind, origin)
            with source.snapshot(kind):
                at = in_log(kind, source, target, position)
                known = exceptions(target, at)
                received = {
                    name: None
                    if one.last == WHOLE
                    else Count(one.rows or 0, one.amount or Decimal(0))
                    for name, one in known.items()
                }
                logged = source.counts.read_up_to(kind, at.place, received)
                lacking = {*source.log.lacks(kind, [*received])}
    lost = sum(
        (
            Count(one.rows or 0, one.amount or Decimal(0))
            for name, one in known.items()
            if name in lacking and one.last != NOTHING
        ),
        Count(),
    )
    return Reconciliation(timezone.now(), logged, lost, position.totals, rejects, open_)


def compare_lines() -> dict[str, list[LinesDiffer]]:
    """Return kind → the changesets whose rows in shop All are not as its log says, the first ones.

    Rows were deleted, or have appeared, or amounts were changed in a way that our triggers did not
    see. Reads the staging tables as a whole, so once a day is enough. Raises TransferError.
    """
    found: dict[str, list[LinesDiffer]] = {}
    with ShopAll(settings.SHOP_ALL_DATABASE_URL, "reconcile", secret=False) as source:
        for kind in installed_kinds().values():
            source.identity.check_columns(kind)
            source.log_writer.append(kind)
            with source.snapshot(kind):
                source.database.limit_statements(None)
                if some := compare(kind, source):
                    found[kind.name] = some
    return found


def reconcile_all() -> Iterator[dict[str, Any]]:
    """Compares every task, and the staging tables with their log; yields how many tasks were
    compared,
    and which servers did not answer.

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
    differing += [installed_kinds()[name].staging for name in compare_lines()]
    if differing:
        raise TransferError(DIFFERENCE, tasks=", ".join(differing))
