"""Which run moved a row: the one whose position has passed the row's line of the log."""

from collections.abc import Iterable

from django.db import connection

from transfer.models import TransferRun

Key = tuple[int, int]  # the number of a task, and that of a line in the log

# For each key the first run that has read rows of the task and ended at the line or after it, of
# those since the last run that went back to before the line (see `TransferRun.went_back`), and
# before the next one that went back. Not if it began at the line or after it: then the run that
# passed the line is gone from the history. By the indexes `runs_that_went_back` and
# `runs_of_a_line`.
FIND = """
    select key.task, key.line, found.id
      from unnest(%s::bigint[], %s::bigint[]) as key (task, line)
     cross join lateral (
           select coalesce(max(id), 0) as id from transfer_transferrun
            where task_id = key.task and went_back
              and (position_from ->> 'number')::bigint < key.line) as first
     cross join lateral (
           select min(id) as id from transfer_transferrun
            where task_id = key.task and went_back and id > first.id) as next
     cross join lateral (
           select id, (position_from ->> 'number')::bigint as began
             from transfer_transferrun
            where task_id = key.task and read > 0
              and position_to -> 'number' >= to_jsonb(key.line)
              and position_to ->> 'origin' = %s
              and id >= first.id and (next.id is null or id < next.id)
            order by position_to -> 'number', id limit 1) as found
     where found.began < key.line
"""


def runs_that_passed(keys: Iterable[Key], origin: str) -> dict[Key, TransferRun]:
    """Return the run of each line; without those whose runs are gone from the history.

    Two queries.
    """
    rows = list(dict.fromkeys(keys))
    if not rows:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(FIND, [*map(list, zip(*rows, strict=True)), origin])
        numbers = {(task, line): run for task, line, run in cursor.fetchall()}
    runs = TransferRun.objects.select_related("actor").in_bulk(set(numbers.values()))
    return {key: runs[number] for key, number in numbers.items() if number in runs}
