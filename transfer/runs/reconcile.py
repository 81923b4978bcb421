"""Over all tasks: do the sums hold, and what may be removed from the staging tables."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from django.conf import settings

from transfer.engine.bonus_db import BonusDatabase
from transfer.engine.kinds import Kind
from transfer.engine.position import Position, Totals
from transfer.engine.shop_all import ShopAll, Staged
from transfer.engine.staging import Staging
from transfer.errors import TransferError
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


@dataclass
class Purge:
    """What a purge of one staging table removed, or what kept it from that."""

    kind: Kind
    rows: int = 0
    amount: Decimal = Decimal(0)
    kept_back_by: list[tuple[TransferTask, TransferError | None]] = field(default_factory=list)


def purge(kind: Kind, tasks: Iterable[TransferTask], days: int, *, dry_run: bool) -> Purge:
    """Removes staged rows older than `days` that every task of the kind has moved.

    An enabled task that has never run keeps all rows back, and so does one whose position can't
    be read. A disabled task counts if it has ever run: switched on again, it goes on where it
    stopped. Without any position nothing is removed.
    """
    result = Purge(kind)
    positions = []
    with ShopAll(settings.SHOP_ALL_DATABASE_URL, "purge") as source, source.snapshot():
        origin = source.origin()
    for task in tasks:
        try:
            with BonusDatabase(task.server.dsn, task.server.name, "purge") as target:
                position = target.existing_position(origin, kind)
        except TransferError as error:
            result.kept_back_by.append((task, error))
            continue
        if position is not None:
            positions.append(position)
        elif task.enabled:
            result.kept_back_by.append((task, None))
    if positions and not result.kept_back_by:
        result.rows, result.amount = _remove(kind, positions, days, dry_run=dry_run)
    return result


def _remove(
    kind: Kind, positions: list[Position], days: int, *, dry_run: bool
) -> tuple[int, Decimal]:
    with Staging(settings.SHOP_ALL_DATABASE_URL, "purge") as staging:
        return staging.purge(kind, positions, days, dry_run=dry_run)


def purge_all(days: int, *, dry_run: bool) -> Iterator[Purge]:
    """Purges the staging tables of all kinds. Raises TransferError."""
    tasks = list(TransferTask.objects.select_related("server"))
    for kind in {task.moves.name: task.moves for task in tasks}.values():
        yield purge(kind, [t for t in tasks if t.kind == kind.name], days, dry_run=dry_run)
