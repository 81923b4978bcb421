"""Removes staged rows that are old enough and that every bonus server has received."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import ReaderOfAnother
from transfer.engine.kind import Kind
from transfer.engine.position import Position
from transfer.engine.shop_all.purge import Purge as StagedRows
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.models import BonusServer, LeftBehind, RejectedRow, Settings, TransferTask
from transfer.models.recorded import recorded
from transfer.runs.left_behind import note_missing


@dataclass
class Purge:
    """What a purge of one staging table removed, or what kept it from that."""

    kind: Kind
    rows: int = 0
    blanked: int = 0  # rows whose secret was emptied
    kept_back_by: list[tuple[TransferTask, TransferError | None]] = field(default_factory=list)
    # Tasks that an administrator has left behind and whose position can't be read.
    left_behind: list[LeftBehind] = field(default_factory=list)


def purge(
    kind: Kind, tasks: Iterable[TransferTask], days: int, *, blank_pins: bool, dry_run: bool
) -> Purge:
    """Removes staged rows older than `days` that every task of the kind has moved.

    With `blank_pins` the younger ones lose their secret. Rows with an open reject, and changed
    rows without a decision, are left alone, since somebody may still send them again. A server of
    another installation keeps all rows back.

    An enabled task without a position keeps all rows back, and so does one whose position can't be
    read, unless it is left behind (see `left_behind`): then the rows that it may lack are listed in
    shop All, and no secret is emptied. A disabled task counts once its position has begun, be it at
    docking: switched on, it goes on from there, also where a rebase has yet to carry it over.
    Without any position nothing is removed.
    """
    result = Purge(kind)
    with ShopAll(settings.SHOP_ALL_DATABASE_URL, "purge") as shop_all, shop_all.purge_lock.held():
        with shop_all.database.transaction():
            origin = shop_all.identity.origin()
        staged = StagedRows(shop_all, settings.KINDS.values())
        tasks = list(tasks)
        # Read while the lock is held: who takes a server back waits for it.
        left = {
            one.task_id: one
            for one in LeftBehind.objects.filter(task__in=tasks).select_related("task__server")
        }
        positions = _positions(result, tasks, left, origin)
        _keep_for_others(result, tasks, positions, shop_all, days)
        if positions and not result.kept_back_by:
            _purge(result, staged, positions, left, shop_all, days, blank_pins, dry_run)
    return result


def _purge(
    result: Purge,
    staged: StagedRows,
    positions: dict[TransferTask, Position],
    left: dict[int, LeftBehind],
    shop_all: ShopAll,
    days: int,
    blank_pins: bool,
    dry_run: bool,
) -> None:
    """Removes the rows that all of the positions have moved, and empties secrets."""
    kind, moved = result.kind, [*positions.values()]
    known = recorded(moved[0].origin)
    undecided = _open_rejects(kind, positions) + _changed(kind, shop_all)
    returned = [position for task, position in positions.items() if task.pk in left]
    result.rows, _amount = staged.purge(
        kind,
        moved,
        days,
        undecided,
        recorded=known,
        leaves_behind=bool(result.left_behind),
        returned=returned,
        dry_run=dry_run,
    )
    if result.left_behind:
        if not dry_run:
            note_missing(result.left_behind, shop_all)
    elif blank_pins and kind.secrets:
        result.blanked = staged.blank(
            kind, moved, undecided, recorded=known, returned=returned, dry_run=dry_run
        )


def _keep_for_others(
    result: Purge,
    tasks: Iterable[TransferTask],
    positions: dict[TransferTask, Position],
    shop_all: ShopAll,
    days: int,
) -> None:
    """Keeps all rows back where another installation reads from this shop All, too."""
    known = {str(reader) for task in tasks for reader in task.readers}
    known |= {position.reader for position in positions.values() if position.reader}
    with shop_all.database.transaction():
        others = shop_all.log.other_readers(result.kind, known, days)
    for reader, server, at in others:
        theirs = TransferTask(kind=result.kind.name, server=BonusServer(name=server))
        error = ReaderOfAnother(server=server, reader=reader, at=f"{at:%Y-%m-%d %H:%M %Z}")
        result.kept_back_by.append((theirs, error))


def retire_readers(readers: Iterable[str], seconds: float | None = None) -> None:
    """Notes in shop All that no purge has to wait for these readers: their server is gone.

    With `seconds`, see `Database`, a page waits. Raises TransferError.
    """
    with (
        ShopAll(settings.SHOP_ALL_DATABASE_URL, "retire", seconds=seconds) as shop_all,
        shop_all.database.transaction(),
    ):
        for reader in readers:
            shop_all.log.retire(reader)


def _changed(kind: Kind, shop_all: ShopAll) -> list[int]:
    """Rows that were changed after their transfer, and of which nothing is decided."""
    with shop_all.database.transaction(commit=False):
        return shop_all.changes.numbers(kind)


def _open_rejects(kind: Kind, positions: dict[TransferTask, Position]) -> list[int]:
    """Staged rows that a server has rejected and that are still open, as far as we know."""
    rejected: set[int] = set()
    for task, position in positions.items():
        if position.reader is not None:
            with (
                BonusDatabase(task.server.dsn, task.server.name, "purge") as target,
                target.database.transaction(commit=False),
            ):
                rejected.update(target.rejects.rejected_rows(position.reader))
    ours = RejectedRow.objects.filter(kind=kind.name)  # a rebase changes the origin, not the number
    still_open = set(ours.open().values_list("staging_id", flat=True))
    closed = set(ours.exclude(state=RejectedRow.State.OPEN).values_list("staging_id", flat=True))
    return [*(rejected - closed | still_open)]


def _positions(
    result: Purge, tasks: Iterable[TransferTask], left: dict[int, LeftBehind], origin: str
) -> dict[TransferTask, Position]:
    """Those of the tasks. The result says which tasks keep all rows back, and which are left
    behind.
    """
    positions = {}
    for task in tasks:
        try:
            with BonusDatabase(task.server.dsn, task.server.name, "purge") as target:
                position = target.positions.existing(origin, result.kind)
                has_begun = task.enabled or target.positions.exist(result.kind)
        except TransferError as error:
            if task.pk in left:
                result.left_behind.append(left[task.pk])
            else:
                result.kept_back_by.append((task, error))
            continue
        if position is not None:
            positions[task] = position
        elif has_begun:
            result.kept_back_by.append((task, None))
    return positions


def purge_all(days: int, *, blank_pins: bool, dry_run: bool) -> Iterator[Purge]:
    """Purges the staging tables of all kinds. Raises TransferError."""
    tasks = list(TransferTask.objects.select_related("server"))
    for name in dict.fromkeys(task.kind for task in tasks):
        of_kind = [task for task in tasks if task.kind == name]
        yield purge(settings.KINDS[name], of_kind, days, blank_pins=blank_pins, dry_run=dry_run)


def purge_staging(*, dry_run: bool = False) -> Iterator[dict[str, Any]]:
    """Removes staged rows that every task has moved long ago, by the settings.

    Yields table → rows removed, or the tasks that keep its rows back. A dry run counts, and
    removes nothing. Raises TransferError.
    """
    retention = Settings.load()
    for result in purge_all(
        retention.staging_days, blank_pins=retention.blank_pins, dry_run=dry_run
    ):
        yield {
            result.kind.staging: {
                "kept_back_by": [
                    {**task.audit_params(), "error": error.code if error else ""}
                    for task, error in result.kept_back_by
                ]
            }
            if result.kept_back_by
            else {"rows": result.rows}
            | ({"blanked": result.blanked} if result.blanked else {})
            | ({"left_behind": _names(result.left_behind)} if result.left_behind else {})
        }


def _names(left: list[LeftBehind]) -> list[dict[str, str]]:
    return [one.task.audit_params() for one in left]
