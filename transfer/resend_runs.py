"""The run that moved the row which was sent in a rejected one's place."""

from django.db import connection
from django.db.models import Q
from psycopg2 import sql

from transfer.models import RejectedRow, TransferRun
from transfer.position import Position, moved

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
        for run, has_moved in zip(some, _moved(reject, some), strict=True):
            if has_moved:
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
