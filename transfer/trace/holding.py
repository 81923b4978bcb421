"""What a bonus server holds of an account or a card now, as far as our role may read it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from psycopg2 import sql

from transfer.causes.tables import RIGHTS_MISSING, TARGET_TABLE_MISSING, WRONG_COLUMNS
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.errors import TransferError
from transfer.models import BonusServer

ASSETS_SHOWN = 5
# A vendor's column of times may be a date, or have no zone: it is read as of the session's zone.

# Since when an account has its PIN code. Of the code nothing is read.
PINS = "select {since}::timestamptz from {rows} where {column} = {value}"
# A balance counts what is valid now, from validfrom to validto, both included.
ASSETS = """
    select count(*), coalesce(sum(amount), 0),
           coalesce(sum(amount) filter (where coalesce(validfrom, now()) <= now()
                                          and coalesce(validto, now()) >= now()), 0)
      from {rows} where {column} = {value}
"""
LAST_ASSETS = """
    select amount, validfrom, validto, comment, created_at::timestamptz
      from {rows} where {column} = {value} order by created_at desc nulls last limit {most}
"""
CARDS = """
    select card, account, status, changed_at::timestamptz
      from {rows} where {column} = {value} order by card limit 20
"""
# What another kind says: each column but the number itself and secrets, and since when.
OTHERS = """
    select {shown}{since}::timestamptz from {rows} where {column} = {value} order by 1 limit 20
"""


@dataclass(frozen=True)
class Holding:
    """What a bonus server holds now, of an account or a card.

    `others`: kind without words of its own → its rows: the values of `shown_of`, and since when.
    `unread`: kind → why its table could not be read. Nothing of it is known then.
    """

    pin_set_at: datetime | None = None
    has_pin: bool = False
    assets: int = 0
    total: Decimal = Decimal(0)
    balance: Decimal = Decimal(0)
    last_assets: list[tuple[Any, ...]] = field(default_factory=list)
    cards: list[tuple[Any, ...]] = field(default_factory=list)
    others: Mapping[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    unread: Mapping[str, TransferError] = field(default_factory=dict)


def holding_of(server: BonusServer, target: BonusDatabase, subject: str, column: str) -> Holding:
    """Return what a server holds, within a snapshot of the caller.

    A card has neither a balance nor a PIN code of its own: only its line is read. Each table is
    read if we may; raises TransferError where the database fails.
    """
    unread: dict[str, TransferError] = {}
    known: dict[str, Any] = {}
    others: dict[str, list[tuple[Any, ...]]] = {}
    for name in dict.fromkeys([*READERS, *server.kinds]):
        kind = server.kinds[name]
        if column not in kind.names:
            continue
        # Not the PIN code itself, though the table has it: no right to it is needed.
        columns = [one for one in (*kind.columns, kind.stamps) if not one.secret]
        if error := _refusal(target, kind, columns):
            unread[name] = error
            continue
        about: dict[str, sql.Composable] = {
            "rows": kind.bonus_server.rows(columns),
            "column": sql.Identifier(column),
            "value": sql.Literal(subject),
            "since": sql.Identifier(kind.stamps.name),
            "most": sql.Literal(ASSETS_SHOWN),
        }
        if read := READERS.get(name):
            known |= read(target, about)
        else:
            names = map(sql.Identifier, shown_of(kind, column))
            about["shown"] = sql.SQL("").join(sql.SQL("{}, ").format(one) for one in names)
            others[name] = _rows(target, OTHERS, about)
    return Holding(**known, others=others, unread=unread)


def shown_of(kind: Kind, column: str) -> list[str]:
    """Return the columns of a kind that say something of an account or a card."""
    return [one.name for one in kind.columns if one.name != column and not one.secret]


def _refusal(target: BonusDatabase, kind: Kind, columns: list[Any]) -> TransferError | None:
    try:
        target.tables.check_readable(kind, columns)
    except TransferError as error:
        if error.cause not in UNREADABLE:
            raise
        return error
    return None


def _rows(target: BonusDatabase, query: str, about: dict[str, Any]) -> list[tuple[Any, ...]]:
    return target.database.rows(sql.SQL(query).format(**about))


def _cards(target: BonusDatabase, about: dict[str, Any]) -> dict[str, Any]:
    return {"cards": _rows(target, CARDS, about)}


def _pin(target: BonusDatabase, about: dict[str, Any]) -> dict[str, Any]:
    pins = _rows(target, PINS, about)
    return {"has_pin": bool(pins), "pin_set_at": pins[0][0] if pins else None}


def _balance(target: BonusDatabase, about: dict[str, Any]) -> dict[str, Any]:
    ((assets, total, balance),) = _rows(target, ASSETS, about)
    last = _rows(target, LAST_ASSETS, about)
    return {"assets": assets, "total": total, "balance": balance, "last_assets": last}


READERS = {"cards": _cards, "pincodes": _pin, "balances": _balance}
# What keeps one table from being read, and says nothing of the others.
UNREADABLE = (RIGHTS_MISSING, TARGET_TABLE_MISSING, WRONG_COLUMNS)
