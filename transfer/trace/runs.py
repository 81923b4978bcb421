"""Which run moved a row: found by bisection, since positions only ever move on."""

from collections.abc import Iterable
from typing import Any

from django.db import connection
from django.db.models import Q
from psycopg2 import sql

from transfer.engine.position import Position, has_moved, moved
from transfer.models import RejectedRow, TransferRun

Key = tuple[int, int, int]  # task, xid, id


def runs_that_moved(wanted: Iterable[Key], origin: str) -> dict[Key, TransferRun]:
    """The run of each row; without those whose runs are gone from the history.

    All rows are looked for at once: a query for each step of the bisection.
    """
    numbers: dict[int, list[int]] = {}
    searches = dict.fromkeys(wanted, (0, 0))
    for task, pk in (
        TransferRun.objects.filter(task__in={key[0] for key in searches}, read__gt=0)
        .order_by("task", "pk")
        .values_list("task", "pk")
    ):
        numbers.setdefault(task, []).append(pk)
    searches = {key: (0, len(numbers.get(key[0], []))) for key in searches}
    positions: dict[int, Any] = {}
    while any(low < high for low, high in searches.values()):
        middles = {
            key: numbers[key[0]][(low + high) // 2]
            for key, (low, high) in searches.items()
            if low < high
        }
        _fetch(positions, middles.values())
        for key, pk in middles.items():
            (low, high), (_, xid, id_) = searches[key], key
            middle = (low + high) // 2
            is_past = has_moved(positions[pk][1], origin, xid, id_)
            searches[key] = (low, middle) if is_past else (middle + 1, high)
    found = {
        key: numbers[key[0]][low]
        for key, (low, _) in searches.items()
        if low < len(numbers.get(key[0], []))
    }
    _fetch(positions, found.values())
    runs = TransferRun.objects.select_related("actor").in_bulk(set(found.values()))
    return {
        key: runs[pk]
        for key, pk in found.items()
        # A run before it that is gone from the history may have moved the row.
        if not has_moved(positions[pk][0], origin, *key[1:])
    }


def _fetch(positions: dict[int, Any], pks: Iterable[int]) -> None:
    missing = set(pks) - positions.keys()
    if missing:
        rows = TransferRun.objects.filter(pk__in=missing)
        for pk, *both in rows.values_list("pk", "position_from", "position_to"):
            positions[pk] = both


RUNS_AT_ONCE = 100


def moving_run(reject: RejectedRow) -> TransferRun | None:
    """The one that moved it to the server of the reject; None while it waits."""
    if reject.resent_id is None or reject.server_id is None:
        return None
    runs = (
        TransferRun.objects.begun()
        .filter(server=reject.server_id, kind=reject.kind)
        .filter(position_to__origin=str(reject.resent_origin))
        .filter(Q(finished_at=None) | Q(finished_at__gte=reject.closed_at))
        .order_by("pk")
    )
    for start in range(0, runs.count(), RUNS_AT_ONCE):
        some = list(runs[start : start + RUNS_AT_ONCE])
        for run, is_past in zip(some, _moved(reject, some), strict=True):
            if is_past:
                return run
    return None


def _moved(reject: RejectedRow, runs: list[TransferRun]) -> list[bool]:
    """Whether the row was moved by the end of each run, by the position's own rule."""
    conditions = sql.SQL(", ").join(
        moved(Position.from_json(run.position_to or {})) for run in runs
    )
    query = sql.SQL(
        "select array[{}] from (select {}::xid8 as xid, {}::bigint as id) as row"
    ).format(conditions, sql.Literal(str(reject.resent_xid)), sql.Literal(reject.resent_id))
    with connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchone()[0])
