"""Which run moved a row: looked for by bisection, since positions only ever move on."""

from collections.abc import Iterable
from typing import Any

from transfer.engine.position import has_moved
from transfer.models import RejectedRow, TransferRun, TransferTask

Key = tuple[int, int, int]  # task, xid, id
Positions = dict[int, tuple[Any, Any]]  # of a run: where it began, and how far it came


def runs_that_moved(keys: Iterable[Key], origin: str) -> dict[Key, TransferRun]:
    """The run of each row; without those whose runs are gone from the history.

    All rows are looked for at once: a query for each step of the bisection.
    """
    low = dict.fromkeys(keys, 0)
    numbers = _numbers({task for task, _, _ in low})
    high = {key: len(numbers[key[0]]) for key in low}
    positions: Positions = {}
    while searched := [key for key in low if low[key] < high[key]]:
        middles = {key: (low[key] + high[key]) // 2 for key in searched}
        _fetch(positions, {numbers[key[0]][middle] for key, middle in middles.items()})
        for key, middle in middles.items():
            _, end = positions[numbers[key[0]][middle]]
            if has_moved(end, origin, *key[1:]):
                high[key] = middle
            else:
                low[key] = middle + 1
    first = {key: numbers[key[0]][at] for key, at in low.items() if at < len(numbers[key[0]])}
    _fetch(positions, set(first.values()))
    runs = TransferRun.objects.select_related("actor").in_bulk(set(first.values()))
    # A run before the first that is gone from the history may have moved the row.
    return {
        key: runs[pk]
        for key, pk in first.items()
        if not has_moved(positions[pk][0], origin, *key[1:])
    }


def _numbers(tasks: set[int]) -> dict[int, list[int]]:
    """The runs of each task that have read rows, in their order."""
    numbers: dict[int, list[int]] = {task: [] for task in tasks}
    runs = TransferRun.objects.filter(task__in=tasks, read__gt=0)
    for task, pk in runs.order_by("task", "pk").values_list("task", "pk"):
        numbers[task].append(pk)
    return numbers


def _fetch(positions: Positions, numbers: set[int]) -> None:
    if missing := numbers - positions.keys():
        runs = TransferRun.objects.filter(pk__in=missing)
        for pk, *ends in runs.values_list("pk", "position_from", "position_to"):
            positions[pk] = (ends[0], ends[1])


def moving_run(reject: RejectedRow) -> TransferRun | None:
    """The run that moved what was sent again to the reject's server; None while it waits."""
    task = TransferTask.objects.filter(server=reject.server_id, kind=reject.kind).first()
    if task is None or reject.resent_id is None or reject.resent_xid is None:
        return None
    key = (task.pk, reject.resent_xid, reject.resent_id)
    return runs_that_moved([key], str(reject.resent_origin)).get(key)
