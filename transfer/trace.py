"""Where a card's or an account's changes are: staged, waiting, moved by a run, rejected.

What has reached a server is told by its own position, as the engine tells it; no flag is trusted.
"""

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from psycopg2 import sql

from transfer.backlog import WRITERS
from transfer.bonus_db import BonusDatabase
from transfer.errors import TooSlow, TransferError
from transfer.kinds import KINDS, Kind
from transfer.models import BonusServer, RejectedRow, TransferRun, TransferTask
from transfer.models.run_base import attach_runs
from transfer.position import Position, moved
from transfer.shop_all import ShopAll, quoted
from transfer.trace_runs import Key, runs_that_moved
from transfer.trace_search import kinds_of

ROWS_ON_A_PAGE = 50
SERVERS_AT_ONCE = 8
SECONDS = 3.0
ASSETS_SHOWN = 5

ROWS = """
    select {kind}, xid::text::bigint, id, created_at, {payload}, {moved}
      from {table} where {column} = {value}
"""

# A balance counts what is valid now, from validfrom to validto, both included.
ASSETS = """
    select count(*), coalesce(sum(amount), 0),
           coalesce(sum(amount) filter (where coalesce(validfrom, now()) <= now()
                                          and coalesce(validto, now()) >= now()), 0)
      from asset where account = %s
"""
LAST_ASSETS = """
    select amount, validfrom, validto, comment, created_at
      from asset where account = %s order by created_at desc nulls last limit %s
"""
CARDS = """
    select card, account, status, changed_at from "cardAccounting" where {} = %s order by card
     limit 20
"""


@dataclass(frozen=True)
class Holding:
    """What a bonus server holds now, of an account or a card."""

    pin_set_at: datetime | None = None
    has_pin: bool = False
    assets: int = 0
    total: Decimal = Decimal(0)
    balance: Decimal = Decimal(0)
    last_assets: list[tuple[Any, ...]] = field(default_factory=list)
    cards: list[tuple[Any, ...]] = field(default_factory=list)


@dataclass
class Answer:
    """What one server says: its positions, what it holds, or why it says nothing."""

    server: BonusServer
    positions: dict[str, Position | None] = field(default_factory=dict)
    holding: Holding = field(default_factory=Holding)
    error: TransferError | None = None


@dataclass
class Fate:
    """What became of one staged row at one server."""

    server: BonusServer
    state: str  # waiting, moved, rejected, unknown; read: moved or rejected, which is purged
    task: Any = None
    run: TransferRun | None = None
    reject: RejectedRow | None = None
    error: TransferError | None = None


@dataclass
class Row:
    """A staged change."""

    kind: Kind
    xid: int
    id: int
    created_at: datetime | None
    payload: dict[str, str | None]
    reached: dict[int, bool]  # server → whether its position is past the row
    fates: list[Fate] = field(default_factory=list)


@dataclass
class Trace:
    subject: str
    column: str  # account or card
    rows: list[Row]
    page: int
    has_more: bool
    answers: list[Answer]
    writing: dict[str, datetime]  # kind → since when a transaction may hold unseen rows


def trace(subject: str, column: str, page: int = 1, *, seconds: float = SECONDS) -> Trace:
    """Every staged change of the account or the card, the latest first, and where each is.

    Asks the servers in parallel, for `seconds` at most. Raises TransferError when shop All fails.
    """
    tasks = attach_runs(TransferTask.objects.select_related("server").with_runs())
    servers = list({task.server_id: task.server for task in tasks}.values())
    with ShopAll(settings.SHOP_ALL_DATABASE_URL, "trace") as source:
        with source.transaction():
            source.execute(f"set statement_timeout = {int(seconds * 1000)}")
        with source.snapshot():
            origin = source.origin()
        # Before the rows are read: what a position has moved is then visible among them.
        answers = ask(servers, origin, subject, column, seconds)
        with source.snapshot():
            rows = staged_rows(source, subject, column, answers, page)
            writing = writers(source, column)
    found = Trace(
        subject, column, rows[:ROWS_ON_A_PAGE], page, len(rows) > ROWS_ON_A_PAGE, answers, writing
    )
    tell_fates(found, tasks, origin)
    return found


def ask(
    servers: list[BonusServer], origin: str, subject: str, column: str, seconds: float
) -> list[Answer]:
    if not servers:
        return []
    pool = ThreadPoolExecutor(SERVERS_AT_ONCE, thread_name_prefix="trace")
    # Nothing of Django's connections gets into the threads: the DSN is read here.
    futures: list[tuple[BonusServer, Future[Answer]]] = [
        (server, pool.submit(_ask, server, server.dsn, origin, subject, column, seconds))
        for server in servers
    ]
    wait([future for _, future in futures], timeout=seconds)
    pool.shutdown(wait=False, cancel_futures=True)
    return [
        future.result()
        if future.done()
        else Answer(server, error=TooSlow(database=server.name, reason=f"> {seconds:g} s"))
        for server, future in futures
    ]


def _ask(
    server: BonusServer, dsn: str, origin: str, subject: str, column: str, seconds: float
) -> Answer:
    answer = Answer(server)
    try:
        # PIN codes are never selected; of errors nothing is quoted all the same.
        with BonusDatabase(dsn, server.name, "trace", secret=True) as target:
            with target.transaction():
                target.execute(f"set statement_timeout = {int(seconds * 1000)}")
            for kind in kinds_of(column):
                answer.positions[kind.name] = target.existing_position(origin, kind)
            with target.transaction(commit=False):
                answer.holding = _holding(target, subject, column)
    except TransferError as error:
        answer.error = error
    return answer


def _holding(target: BonusDatabase, subject: str, column: str) -> Holding:
    cards = target.rows(sql.SQL(CARDS).format(sql.Identifier(column)), [subject])
    if column == "card":
        return Holding(cards=cards)
    pins = target.rows("select changed_at from pincode where account = %s", [subject])
    assets, total, balance = target.one(ASSETS, [subject])
    last = target.rows(LAST_ASSETS, [subject, ASSETS_SHOWN])
    set_at = pins[0][0] if pins else None
    return Holding(set_at, bool(pins), assets, total, balance, last, cards)


def staged_rows(
    source: ShopAll, subject: str, column: str, answers: list[Answer], page: int
) -> list[Row]:
    """One page of the rows, and one row more if there is another page."""
    parts, servers = [], {}
    for kind in kinds_of(column):
        known = [(a.server.pk, a.positions.get(kind.name)) for a in answers if a.error is None]
        servers[kind.name] = [pk for pk, _ in known]
        parts.append(
            sql.SQL(ROWS).format(
                kind=sql.Literal(kind.name),
                payload=sql.SQL(f"{kind.payload}::jsonb"),
                moved=_moved([position for _, position in known]),
                table=quoted(kind),
                column=sql.Identifier(column),
                value=sql.Literal(subject),
            )
        )
    query = sql.SQL("{} order by 2 desc, 3 desc limit {} offset {}").format(
        sql.SQL(" union all ").join(parts),
        sql.Literal(ROWS_ON_A_PAGE + 1),
        sql.Literal((page - 1) * ROWS_ON_A_PAGE),
    )
    return [
        Row(
            KINDS[kind],
            xid,
            id_,
            created_at,
            payload,
            dict(zip(servers[kind], reached, strict=True)),
        )
        for kind, xid, id_, created_at, payload, reached in source.rows(query)
    ]


def _moved(positions: Iterable[Position | None]) -> sql.Composable:
    each = [sql.SQL("false") if p is None else moved(p) for p in positions]
    return sql.SQL("array[{}]::boolean[]").format(sql.SQL(", ").join(each))


def writers(source: ShopAll, column: str) -> dict[str, datetime]:
    found = {}
    for kind in kinds_of(column):
        (since,) = source.one(WRITERS, [f'"{kind.staging}"'])
        if since is not None:
            found[kind.name] = since
    return found


def tell_fates(found: Trace, tasks: list[Any], origin: str) -> None:
    """For every row and server: what became of it."""
    of = {(task.server_id, task.kind): task for task in tasks}
    ids: dict[str, list[int]] = {}
    for row in found.rows:
        ids.setdefault(row.kind.name, []).append(row.id)
    rejects = {
        (reject.server_id, reject.kind, reject.staging_id): reject
        for kind, numbers in ids.items()
        for reject in RejectedRow.objects.landed()
        .filter(kind=kind, origin=origin, staging_id__in=numbers)
        .select_related("run")
    }
    wanted: list[Key] = []
    for row in found.rows:
        for answer in found.answers:
            fate = _fate(row, answer, of, rejects)
            row.fates.append(fate)
            if fate.state == "moved" and fate.task is not None:
                wanted.append((fate.task.pk, row.xid, row.id))
    runs = runs_that_moved(wanted, origin)
    # Of these a row that was rejected can't be told from one that was moved any more.
    purged = {
        run.pk for run in set(runs.values()) if run.rejected and run.rejects.count() < run.rejected
    }
    for row in found.rows:
        for fate in row.fates:
            if fate.state == "moved" and fate.task is not None:
                fate.run = runs.get((fate.task.pk, row.xid, row.id))
                if fate.run is not None and fate.run.pk in purged:
                    fate.state = "read"


def _fate(row: Row, answer: Answer, of: dict[Any, Any], rejects: dict[Any, Any]) -> Fate:
    server, kind = answer.server, row.kind.name
    task = of.get((server.pk, kind))
    reject = rejects.get((server.pk, kind, row.id))
    if reject is not None:
        return Fate(server, "rejected", task, reject.run, reject)
    if answer.error is not None:
        return Fate(server, "unknown", task, error=answer.error)
    return Fate(server, "moved" if row.reached[server.pk] else "waiting", task)
