"""How much of a file each bonus server has, by the server's own position and rejects."""

from dataclasses import dataclass, replace
from typing import Any

from psycopg2 import sql

from transfer.engine.position import Position, sees
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.undo import Undo
from transfer.errors import TransferError
from transfer.models import TransferRun, TransferTask, Upload
from transfer.models.run_base import attach_runs
from transfer.servers.ask import ask_all, bonus_db, shop_all
from transfer.trace.runs import runs_that_moved

# The rows of a load: those that its transaction wrote.
LAST = "select max(id) from {table} where xid = {xid}::xid8"
COUNT = "select count(*) from {table} where xid = {xid}::xid8 and id <= {last}"


@dataclass(frozen=True)
class Arrival:
    """What one bonus server has of a file."""

    task: TransferTask
    rows: int = 0  # that it gets: all; of a server that was docked later what was left of them
    moved: int = 0
    rejected: int = 0  # of those
    last_id: int | None = None  # the row that was moved last
    run: TransferRun | None = None  # by which
    error: TransferError | None = None  # why nothing is known

    @property
    def is_complete(self) -> bool:
        return self.error is None and self.moved >= self.rows

    @property
    def state(self) -> str:
        """One of unknown, coming, rejects (all of it arrived, some rows were rejected), arrived."""
        if self.error is not None:
            return "unknown"
        if not self.is_complete:
            return "coming"
        return "rejects" if self.rejected else "arrived"


def arrivals(upload: Upload, seconds: float) -> list[Arrival]:
    """What each server has of a loaded file. Takes about `seconds` at most, and never raises."""
    tasks = (
        TransferTask.objects.filter(kind=upload.kind)
        .select_related("server")
        .with_runs()
        .order_by("server_id")
    )
    of = {task.server: task for task in attach_runs(tasks)}
    staged = upload.staged  # a thread must not query our own database
    answers = dict(ask_all(of, lambda one, within: _ask(upload, staged, of[one], within), seconds))
    on_servers = [
        answer if isinstance(answer := answers[server], Arrival) else Arrival(task, error=answer)
        for server, task in of.items()
    ]
    return _with_runs(upload, on_servers)


def _ask(upload: Upload, staged: int, task: TransferTask, seconds: float) -> Arrival:
    server, kind = task.server, upload.kind_spec
    with shop_all(seconds) as source, bonus_db(server, seconds) as target:
        with source.snapshot():
            origin, xid = _place(source, upload)
        position = target.positions.existing(origin, kind)
        with source.snapshot(kind):
            position = position or Position(origin, kind.name)
            arrival = _moved(source, upload, staged, xid, task, position)
        if not arrival.moved:
            return arrival
        with target.database.transaction(commit=False):
            rejected = sum(
                target.rejects.count_of_transaction(*place)
                for place in {(origin, kind, xid), (str(upload.origin), kind, upload.xid or 0)}
            )
        return replace(arrival, rejected=rejected)


def _place(source: ShopAll, upload: Upload) -> tuple[str, int]:
    """The identity of shop All, and the transaction of the load's rows under it, which a rebase has
    changed. Raises RowsGone, or LoadUnknown where shop All lacks the note of the load.
    """
    origin = source.identity.origin()
    if origin == str(upload.origin):
        return origin, upload.xid or 0
    return origin, Undo(source, upload.kind_spec, upload.token).rows().xid


def _moved(
    source: ShopAll, upload: Upload, staged: int, xid: int, task: TransferTask, position: Position
) -> Arrival:

    def ask(query: str, last: int | None = None) -> Any:
        names = {"table": upload.kind_spec.staging_table, "xid": sql.Literal(str(xid))}
        return source.database.one(sql.SQL(query).format(last=sql.Literal(last), **names))[0]

    last = ask(LAST)
    is_docked_later = upload.closed_at is not None and task.server.created_at > upload.closed_at
    # What is purged every server had moved, but not one that was docked later.
    rows = ask(COUNT, last) if is_docked_later else staged
    if sees(position.read_through, xid):
        return Arrival(task, rows, rows, last_id=last)
    if position.last_xid is None or not sees(position.snapshot, xid) or position.last_xid < xid:
        return Arrival(task, rows)
    if position.last_xid > xid:
        return Arrival(task, rows, rows, last_id=last)
    return Arrival(task, rows, ask(COUNT, position.last_id), last_id=position.last_id)


def _with_runs(upload: Upload, on_servers: list[Arrival]) -> list[Arrival]:
    """Likewise, each with the run that moved the last of its rows."""
    keys = [
        (one.task.pk, upload.xid or 0, one.last_id)
        for one in on_servers
        if one.moved and one.last_id is not None
    ]
    runs = {task: run for (task, *_), run in runs_that_moved(keys, str(upload.origin)).items()}
    return [replace(one, run=runs.get(one.task.pk)) for one in on_servers]
