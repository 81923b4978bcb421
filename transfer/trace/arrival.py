"""How much of a file each bonus server has, by the server's own position and rejects."""

from dataclasses import dataclass, replace
from datetime import datetime

from psycopg2 import sql

from transfer.engine.begin import Answer as Begin
from transfer.engine.bonus_server.positions import ReceivedOf
from transfer.engine.in_log import exceptions_of, in_log
from transfer.engine.kind import Kind
from transfer.engine.received import WHOLE, Beginning, Place
from transfer.engine.shop_all.loads import Load
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.loading.below_zero import Warning, warnings_of_undo
from transfer.models import TransferRun, TransferTask, Upload
from transfer.models.run_base import attach_runs
from transfer.servers.ask import ask_all, bonus_db, shop_all
from transfer.trace.runs import Key, runs_that_passed

# Whether rows of a load are staged. By the primary key, and the index on (xid, started, row).
IS_STAGED = """
    select exists (select from datatransfer.load join {staged}
                       on ours.xid = load.xid and ours.started = load.started
                    where load.changeset = {name}::uuid)
"""


@dataclass(frozen=True)
class Arrival:
    """What one bonus server has of a file.

    `moved` counts rows that the server has received, `rejected` those of them whose reject is open.
    `number` is that of the load's line in the log, None if the log has none.
    """

    task: TransferTask
    rows: int = 0
    origin: str = ""  # of the shop All that has been asked
    moved: int = 0
    rejected: int = 0
    number: int | None = None
    said_by: str = ""  # who has said that the server has it, where no run has moved it
    said_at: datetime | None = None
    is_withdrawn: bool = False  # it was taken back before the server has read it
    is_skipped: bool = False  # the server does without the rest of it, for good
    run: TransferRun | None = None  # which has moved it
    error: TransferError | None = None  # why nothing is known

    @property
    def is_complete(self) -> bool:
        """Whether nothing of it is to come any more."""
        if self.error is not None:
            return False
        return self.moved >= self.rows or self.is_withdrawn or self.is_skipped

    @property
    def state(self) -> str:
        """One of unknown, withdrawn, coming, skipped, counted, rejects (some rows wait for a
        decision),
        arrived.
        """
        if self.error is not None:
            return "unknown"
        if self.is_withdrawn:
            return "withdrawn"
        if self.is_skipped:
            return "skipped"
        if not self.is_complete:
            return "coming"
        if self.said_by:
            return "counted"
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
    answers = dict(ask_all(of, lambda one, within: _arrival_at(upload, of[one], within), seconds))
    on_servers = [
        answer if isinstance(answer := answers[server], Arrival) else Arrival(task, error=answer)
        for server, task in of.items()
    ]
    # Each with the run that has moved it: two queries.
    keys = [_key(one) for one in on_servers if one.moved and one.number is not None]
    origin = next((one.origin for one in on_servers if one.origin), "")
    runs = runs_that_passed(keys, origin)
    for place, one in enumerate(on_servers):
        run = runs.get(_key(one)) if one.moved else None
        if run is not None:  # what a run has moved is not counted by anybody's word
            on_servers[place] = replace(one, run=run, said_by="", said_at=None)
    return on_servers


def _arrival_at(upload: Upload, task: TransferTask, seconds: float) -> Arrival:
    server, changeset = task.server, str(upload.changeset)
    kind = server.kinds[upload.kind]
    with (
        shop_all(seconds, secret=False) as source,
        bonus_db(server, seconds, secret=False) as target,
    ):
        with source.snapshot():
            origin = source.identity.origin()
        with target.database.snapshot():
            position = target.positions.get(origin, kind)
            rejected = target.rejects.count_open_of(kind, origin, changeset) if position else 0
            # Shop All after the position was read, so that all that it has passed is visible.
            with source.snapshot(kind):
                load = source.loads.get(changeset)
                is_gone = load is not None and _is_gone(source, kind, load)
                received = None
                if position is not None:
                    at = in_log(kind, source, target, position)
                    exception = exceptions_of(target, at, [changeset]).get(changeset)
                    received = _Received(position.beginning, at.place, exception)
    number = load.number if load else None
    arrival = Arrival(task, upload.good, origin, rejected=rejected, number=number)
    return _arrival(arrival, load, received, line_is_gone=is_gone)


def _is_gone(source: ShopAll, kind: Kind, load: Load) -> bool:
    """Return whether the line of a load has gone from the log: see `engine/shop_all/lifetime.py`.

    Then every server that goes on has received it.
    """
    if load.number is not None or not source.log.removed(kind):
        return False
    query = sql.SQL(IS_STAGED).format(staged=kind.staged, name=sql.Literal(load.changeset))
    return not source.database.value(query)


@dataclass(frozen=True)
class _Received:
    """What a server says: how its position began, its place, and what it says of the load."""

    beginning: Beginning
    place: Place
    exception: ReceivedOf | None


def _arrival(
    arrival: Arrival, load: Load | None, received: _Received | None, *, line_is_gone: bool
) -> Arrival:
    """Return what a server has of a load. Shop All lacks one that a restore has lost."""
    is_withdrawn = load is not None and load.withdrawn
    if received is None:
        return replace(arrival, is_withdrawn=is_withdrawn)
    if received.exception is not None and received.exception.last != WHOLE:
        moved = min(arrival.rows, max(0, received.exception.last))  # its rows are 1, 2, 3 …
        is_skipped = received.exception.skipped
        return replace(
            arrival,
            moved=moved,
            is_withdrawn=is_withdrawn and not moved,
            is_skipped=is_skipped and not is_withdrawn,
        )
    beginning, number = received.beginning, arrival.number
    is_passed = line_is_gone or (number is not None and number <= received.place.number)
    if received.exception is None and not is_passed:
        return replace(arrival, is_withdrawn=is_withdrawn)
    is_counted = (
        beginning.how != Begin.NOTHING
        and number is not None
        and number <= beginning.place.number
        and received.exception is None
    )
    if not is_counted:
        return replace(arrival, moved=arrival.rows)
    said_at = datetime.fromisoformat(beginning.at)
    return replace(arrival, moved=arrival.rows, said_by=beginning.by, said_at=said_at)


def _key(one: Arrival) -> Key:
    return one.task.pk, one.number or 0


@dataclass(frozen=True)
class Outlook:
    """How much of a load has arrived where, and which balances would go below zero."""

    arrivals: list[Arrival]
    waiting: int | None  # rows that no server has read; None where a server does not answer
    warnings: list[Warning]


def outlook(load: Upload, seconds: float) -> Outlook:
    """Takes about twice so many seconds at most. Raises TransferError."""
    on_servers = arrivals(load, seconds)
    waiting = None
    if all(one.error is None for one in on_servers):
        waiting = load.good - max((one.moved for one in on_servers), default=0)
    return Outlook(on_servers, waiting, [*warnings_of_undo(load, seconds)])
