"""Which run moved a row: looked for by bisection, since positions only ever move on."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.db import connection

from transfer.engine.position import has_moved
from transfer.models import RejectedRow, TransferRun, TransferTask

Key = tuple[int, int, int]  # task, xid, id

# Of each task the first run from a number on that has read rows.
FIRST = """
    select task, least, id, position_from, position_to
      from unnest(%s::bigint[], %s::bigint[]) as asked (task, least)
     cross join lateral (select id, position_from, position_to from transfer_transferrun
                          where task_id = task and id >= least and read > 0
                          order by task_id, id limit 1) as run
"""


class Ends(NamedTuple):
    """Of a run: where it began, and how far it came."""

    pk: int
    began: Any
    came: Any


def runs_that_moved(keys: Iterable[Key], origin: str) -> dict[Key, TransferRun]:
    """The run of each row; without those whose runs are gone from the history.

    All rows are looked for at once: a query for each step of the bisection, by the numbers of runs.
    """
    low = dict.fromkeys(keys, 1)
    last = TransferRun.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    high = dict.fromkeys(low, last + 1)
    ends: dict[Key, Ends] = {}
    while searched := [key for key in low if low[key] < high[key]]:
        middles = {key: (low[key] + high[key]) // 2 for key in searched}
        runs = _first({(key[0], middle) for key, middle in middles.items()})
        for key, middle in middles.items():
            run = runs.get((key[0], middle))
            if run is None:
                high[key] = middle
            elif has_moved(run.came, origin, *key[1:]):
                high[key], ends[key] = middle, run
            else:
                low[key] = run.pk + 1
    shown = TransferRun.objects.select_related("actor").in_bulk({run.pk for run in ends.values()})
    # A run before the first that is gone from the history may have moved the row.
    return {
        key: shown[run.pk]
        for key, run in ends.items()
        if not has_moved(run.began, origin, *key[1:])
    }


def _first(asked: set[tuple[int, int]]) -> dict[tuple[int, int], Ends]:
    """The first run that has read rows, of each task from that number on, by both."""
    with connection.cursor() as cursor:
        cursor.execute(FIRST, [[task for task, _ in asked], [least for _, least in asked]])
        return {
            (task, least): Ends(pk, *(end and json.loads(end) for end in ends))
            for task, least, pk, *ends in cursor.fetchall()
        }


def moving_run(reject: RejectedRow) -> TransferRun | None:
    """The run that moved what was sent again to the reject's server; None while it waits."""
    task = TransferTask.objects.filter(server=reject.server_id, kind=reject.kind).first()
    if task is None or reject.resent_id is None or reject.resent_xid is None:
        return None
    key = (task.pk, reject.resent_xid, reject.resent_id)
    return runs_that_moved([key], str(reject.resent_origin)).get(key)
