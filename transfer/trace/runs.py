"""Which run moved a row: looked for by bisection, since positions only ever move on."""

from collections.abc import Iterable

from django.db import connection

from transfer.engine.position import recorded_has_moved
from transfer.models import RejectedRow, TransferRun, TransferTask

Key = tuple[int, int, int]  # task, xid, id

# For all rows at once. Each step asks for the first run, from the middle of those that are left on,
# that has read rows of the task. What that run began with may have the row already, where the run
# that moved it is gone from the history.
SEARCH = f"""
    with recursive search as (
        select row.*, 1::bigint as low, last + 1 as high, null::bigint as mover, origin
          from unnest(%s::bigint[], %s::bigint[], %s::bigint[]) as row (task, xid, id),
               (select max(id), %s::text from transfer_transferrun) as known (last, origin)
     union all
        select task, xid, id,
               case when has_moved or number is null then low else number + 1 end,
               case when has_moved or number is null then middle else high end,
               case when has_moved then number else mover end, origin
          from search
         cross join lateral (select (low + high) / 2) as half (middle)
          left join lateral (select run.id, position_to from transfer_transferrun as run
                              where task_id = task and run.id >= middle and read > 0
                              order by task_id, run.id limit 1) as run (number, ended) on true
         cross join lateral (select {recorded_has_moved("ended")}) as judged (has_moved)
         where low < high
    )
    select task, xid, id, mover
      from search
     cross join lateral (select position_from from transfer_transferrun as run
                          where run.id = mover) as run (began)
     where low >= high and not {recorded_has_moved("began")}
"""  # noqa: S608 - of our own words


def runs_that_moved(keys: Iterable[Key], origin: str) -> dict[Key, TransferRun]:
    """The run of each row; without those whose runs are gone from the history. Two queries."""
    rows = list(dict.fromkeys(keys))
    if not rows:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(SEARCH, [*map(list, zip(*rows, strict=True)), origin])
        numbers = {(task, xid, id_): run for task, xid, id_, run in cursor.fetchall()}
    runs = TransferRun.objects.select_related("actor").in_bulk(set(numbers.values()))
    return {key: runs[number] for key, number in numbers.items() if number in runs}


def moving_run(reject: RejectedRow) -> TransferRun | None:
    """The run that moved what was sent again to the reject's server; None while it waits."""
    task = TransferTask.objects.filter(server=reject.server_id, kind=reject.kind).first()
    if task is None or reject.resent_id is None or reject.resent_xid is None:
        return None
    key = (task.pk, reject.resent_xid, reject.resent_id)
    return runs_that_moved([key], str(reject.resent_origin)).get(key)
