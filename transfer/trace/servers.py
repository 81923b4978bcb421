"""Asks each bonus server about an account or a card: its positions, and its present data."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg2 import sql

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.position import Position
from transfer.errors import TransferError
from transfer.models import BonusServer
from transfer.servers.ask import ask_all, bonus_db
from transfer.trace.complete import kinds_of

ASSETS_SHOWN = 5

# A balance counts what is valid now, from validfrom to validto, both included.
PINS = "select changed_at from {pincodes} where {column} = {value}"
ASSETS = """
    select count(*), coalesce(sum(amount), 0),
           coalesce(sum(amount) filter (where coalesce(validfrom, now()) <= now()
                                          and coalesce(validto, now()) >= now()), 0)
      from {balances} where {column} = {value}
"""
LAST_ASSETS = """
    select amount, validfrom, validto, comment, created_at
      from {balances} where {column} = {value} order by created_at desc nulls last limit {most}
"""
CARDS = """
    select card, account, status, changed_at from {cards} where {column} = {value} order by card
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


@dataclass(frozen=True)
class Answer:
    """The answer of one server: its positions and its data, or the error."""

    server: BonusServer
    positions: dict[str, Position | None] = field(default_factory=dict)
    holding: Holding = field(default_factory=Holding)
    error: TransferError | None = None


def ask(
    servers: list[BonusServer], origin: str, subject: str, column: str, seconds: float
) -> list[Answer]:
    answers = dict(
        ask_all(servers, lambda one, within: _ask(one, origin, subject, column, within), seconds)
    )
    return [
        answer if isinstance(answer := answers[one], Answer) else Answer(one, error=answer)
        for one in servers
    ]


def _ask(server: BonusServer, origin: str, subject: str, column: str, seconds: float) -> Answer:
    # PIN codes are never selected; of errors nothing is quoted all the same.
    with bonus_db(server, seconds, secret=True) as target:
        positions = target.positions.all_existing(origin, kinds_of(column))
        with target.database.transaction(commit=False):
            return Answer(server, positions, _holding(server, target, subject, column))


def _holding(server: BonusServer, target: BonusDatabase, subject: str, column: str) -> Holding:
    about = {
        **{name: kind.held for name, kind in server.kinds.items()},
        "column": sql.Identifier(column),
        "value": sql.Literal(subject),
        "most": sql.Literal(ASSETS_SHOWN),
    }

    def rows(query: str) -> list[tuple[Any, ...]]:
        return target.database.rows(sql.SQL(query).format(**about))

    cards = rows(CARDS)
    if column == "card":
        return Holding(cards=cards)
    pins = rows(PINS)
    ((assets, total, balance),) = rows(ASSETS)
    last = rows(LAST_ASSETS)
    set_at = pins[0][0] if pins else None
    return Holding(set_at, bool(pins), assets, total, balance, last, cards)
