"""Whether all that was staged is accounted for: rows and sums on both sides of a task."""

from dataclasses import dataclass
from decimal import Decimal

from transfer.engine.position import Totals
from transfer.engine.shop_all import Staged
from transfer.errors import TransferError
from transfer.models import TransferTask
from transfer.runs.execute import doors
from transfer.servers.ask import ask_all


@dataclass(frozen=True)
class Reconciliation:
    """What was staged up to the position, beside what the bonus server's position says."""

    task: TransferTask
    staged: Staged
    totals: Totals

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
        return not self.rows_missing and not self.amount_missing


def reconcile(task: TransferTask, seconds: float | None = None) -> Reconciliation | None:
    """Compares a task's two sides; None when it has never moved anything. Raises TransferError.

    With `seconds`, TooSlow after these.
    """
    kind = task.moves
    with doors(task, "reconcile", seconds) as (source, target):
        with source.snapshot():
            source.check_columns(kind)
            origin = source.origin()
        position = target.existing_position(origin, kind)
        if position is None:
            return None
        # After the position was read, so that all that it has moved is visible.
        with source.snapshot():
            source.check_position(kind, position)
            return Reconciliation(task, source.staged(kind, position), position.totals)


def reconcile_all(
    tasks: list[TransferTask], seconds: float
) -> list[tuple[TransferTask, Reconciliation | TransferError | None]]:
    """All of them at once, in `seconds` at most. Each task comes with its server. Never raises."""
    results = dict(ask_all(tasks, reconcile, seconds))
    return [(task, results[task]) for task in tasks]
