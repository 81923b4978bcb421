"""What each bonus server says of an account or a card: its positions, and what it holds now."""

from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg2 import sql

from transfer.engine.bonus_db import BonusDatabase
from transfer.engine.position import Position
from transfer.errors import TooSlow, TransferError
from transfer.models import BonusServer
from transfer.trace.search import kinds_of

SERVERS_AT_ONCE = 8
ASSETS_SHOWN = 5

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
