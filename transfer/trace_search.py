"""What somebody may mean by a few digits: an account, a card, their ends, a staged row."""

from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from psycopg2 import sql

from transfer.kinds import KINDS, Kind
from transfer.shop_all import ShopAll, quoted

COLUMNS = ("account", "card")
SHORTEST = 3
MOST = 20
LONGEST = 100

EXACT = "select exists (select from {table} where {column} = {value})"

# A loose index scan: the next different value each time, whatever often each one occurs.
PART = """
    with recursive found(value, number) as (
        (select {expression}, 1 from {table} where {expression} like {pattern}
          order by {expression} using ~<~ limit 1)
        union all
        select (select {expression} from {table}
                 where {expression} like {pattern} and {expression} ~>~ found.value
                 order by {expression} using ~<~ limit 1), number + 1
          from found where found.value is not null and number < {most}
    )
    select value from found where value is not null
"""


@dataclass
class Found:
    """Account or card → what it is; and staged rows with this number."""

    exact: list[str] = field(default_factory=list)  # "account", "card"
    accounts: list[str] = field(default_factory=list)
    cards: list[str] = field(default_factory=list)
    rows: list[tuple[Kind, int, str, str]] = field(default_factory=list)
    too_short: bool = False


def search(text: str, seconds: float = 3.0) -> Found:
    """Exact numbers first; else those that begin or end so. Raises TransferError."""
    found = Found()
    with ShopAll(settings.SHOP_ALL_DATABASE_URL, "trace") as source:
        with source.transaction():
            source.execute(f"set statement_timeout = {int(seconds * 1000)}")
        with source.snapshot():
            found.exact = [c for c in COLUMNS if _is_there(source, c, text)]
            found.rows = _numbered(source, text)
            if not found.exact:
                found.too_short = len(text) < SHORTEST and not found.rows
                if len(text) >= SHORTEST:
                    found.accounts = _parts(source, "account", text)
                    found.cards = _parts(source, "card", text)
    return found


def kinds_of(column: str) -> list[Kind]:
    """The kinds whose staging tables have the column."""
    return [kind for kind in KINDS.values() if any(c.name == column for c in kind.columns)]


def _is_there(source: ShopAll, column: str, text: str) -> bool:
    return any(
        source.one(
            sql.SQL(EXACT).format(
                table=quoted(kind), column=sql.Identifier(column), value=sql.Literal(text)
            )
        )[0]
        for kind in kinds_of(column)
    )


def _parts(source: ShopAll, column: str, text: str) -> list[str]:
    """Different values that begin or end with the text."""
    plain, turned = sql.Identifier(column), sql.SQL("reverse({})").format(sql.Identifier(column))
    values: set[str] = set()
    for kind in kinds_of(column):
        values.update(_like(source, kind, sql.SQL("{}::text").format(plain), text))
        values.update(value[::-1] for value in _like(source, kind, turned, text[::-1]))
    return sorted(values)[:MOST]


def _like(source: ShopAll, kind: Kind, expression: Any, text: str) -> list[str]:
    query = sql.SQL(PART).format(
        expression=expression,
        table=quoted(kind),
        pattern=sql.Literal(f"{escaped(text)}%"),
        most=sql.Literal(MOST),
    )
    return [value for (value,) in source.rows(query)]


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _numbered(source: ShopAll, text: str) -> list[tuple[Kind, int, str, str]]:
    """Staged rows with this number: kind, number, and whose trace tells of it."""
    digits = text.removeprefix("№").removeprefix("#").strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) < 19 and digits[0] != "0"):
        return []
    rows = []
    for kind in KINDS.values():
        column = kind.columns[0].name
        query = sql.SQL("select {} from {} where id = {}").format(
            sql.Identifier(column), quoted(kind), sql.Literal(int(digits))
        )
        rows += [(kind, int(digits), column, value or "") for (value,) in source.rows(query)]
    return rows
