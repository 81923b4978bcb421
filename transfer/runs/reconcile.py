"""Over all tasks: do the sums hold, and what may be removed from the staging tables."""

from dataclasses import dataclass
from decimal import Decimal

from transfer.engine.position import Totals
from transfer.engine.shop_all import Staged
from transfer.models import TransferTask
from transfer.runs.execute import doors


@dataclass(frozen=True)
class Reconciliation:
    """What was staged up to the position, beside what the bonus server's position says."""

    task: TransferTask
    staged: Staged
    totals: Totals

    @property
    def rows_missing(self) -> int:
        """Rows staged and not accounted for; negative: accounted for and not staged."""
        return self.staged.rows + self.staged.purged_rows - self.totals.read

    @property
    def amount_missing(self) -> Decimal:
        counted = self.totals.amount_applied + self.totals.amount_rejected
        return self.staged.amount + self.staged.purged_amount - counted

    @property
    def holds(self) -> bool:
        return not self.rows_missing and not self.amount_missing


def reconcile(task: TransferTask) -> Reconciliation | None:
    """Compares a task's two sides; None when it has never moved anything. Raises TransferError."""
    kind = task.moves
    with doors(task, "reconcile") as (source, target):
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
