"""What somebody may mean by a few digits: an account, a card, their ends, a staged row."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from django.conf import settings
from psycopg2 import sql

from transfer.engine.kinds import KINDS, Kind
from transfer.engine.shop_all import ShopAll, quoted
from transfer.errors import TooSlow

COLUMNS = ("account", "card")
SHORTEST = 3
MOST = 20
LONGEST = 100

EXACT = "select exists (select from {table} where {column} = {value})"

# A loose index scan: the next different value each time, whatever often each one occurs.
PART = """
    with recursive part(value, number) as (
        (select {expression}, 1 from {table} where {expression} like {pattern}
          order by {expression} using ~<~ limit 1)
        union all
        select (select {expression} from {table}
                 where {expression} like {pattern} and {expression} ~>~ part.value
                 order by {expression} using ~<~ limit 1), number + 1
          from part where part.value is not null and number < {most}
    )
    select value from part where value is not null
"""


@dataclass
class Matches:
    """Account or card → what it is; and staged rows with this number."""

    exact: list[str] = field(default_factory=list)  # "account", "card"
    accounts: list[str] = field(default_factory=list)
    cards: list[str] = field(default_factory=list)
    rows: list[tuple[Kind, int, str, str]] = field(default_factory=list)
    too_short: bool = False


def search(text: str, seconds: float = 3.0) -> Matches:
    """Exact numbers first; else those that begin or end so. Raises TransferError."""
    matches = Matches()
    with (
        ShopAll(settings.SHOP_ALL_DATABASE_URL, "trace", seconds=seconds) as source,
        source.snapshot(),
    ):
        matches.exact = [c for c in COLUMNS if _is_there(source, c, text)]
        matches.rows = _numbered(source, text)
        if not matches.exact:
            matches.too_short = len(text) < SHORTEST and not matches.rows
            if len(text) >= SHORTEST:
                matches.accounts = _parts(source, "account", text)
                matches.cards = _parts(source, "card", text)
    return matches


def kinds_of(column: str) -> list[Kind]:
    """The kinds whose staging tables have the column."""
    return [kind for kind in KINDS.values() if column in kind.names]


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
    """Staged rows with this number: kind, number, and whose trace it is part of."""
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


SECONDS = 5.0
RANGES = 40  # of a column: the search can stop between two of them

# Of the planner's statistics: values that part a table's rows into about a hundred equal lots.
BOUNDS = """
    select bound from pg_stats, unnest(histogram_bounds::text::text[]) as bound
     where schemaname = any(current_schemas(false)) and tablename = any(%s) and attname = %s
"""
RANGE = """
    select {column}::text as value from {table}
     where {column}::text ~>~ {after} and {column}::text like {pattern} {until}
"""


@dataclass(frozen=True)
class Stop:
    """All values of the column up to this one have been looked at, and all of those before it."""

    column: str
    value: str


@dataclass
class InsideMatches:
    """Accounts and cards, MOST of each; and where the search stopped when time ran out."""

    accounts: list[str] = field(default_factory=list)
    cards: list[str] = field(default_factory=list)
    stopped: Stop | None = None


def search_inside(text: str, start: Stop | None = None) -> InsideMatches:
    """Looks for SECONDS at most, on from `start`. Raises TransferError when shop All fails."""
    matches = InsideMatches()
    first = COLUMNS.index(start.column) if start else 0
    with ShopAll(settings.SHOP_ALL_DATABASE_URL, "trace", seconds=SECONDS) as source:
        for column in COLUMNS[first:]:
            after = start.value if start and column == start.column else ""
            values, stopped = _look(source, column, text, after)
            setattr(matches, f"{column}s", sorted(values)[:MOST])
            if stopped is not None:
                matches.stopped = Stop(column, stopped)
                break
    return matches


def _look(source: ShopAll, column: str, text: str, after: str) -> tuple[set[str], str | None]:
    """Enough values, or all; and after which value it stopped, when time ran out."""
    values: set[str] = set()
    low = after
    try:
        for low, high in _ranges(source, column, after):
            values.update(_within(source, column, text, low, high))
            if len(values) >= MOST:
                break
    except TooSlow:
        return values, low
    return values, None


def _ranges(source: ShopAll, column: str, after: str) -> Iterator[tuple[str, str | None]]:
    with source.snapshot():
        names = [kind.staging for kind in kinds_of(column)]
        known = {bound for (bound,) in source.rows(BOUNDS, [names, column]) if bound}
    bounds = sorted(known, key=str.encode)  # as ~<~ orders them
    step = max(1, len(bounds) // RANGES)
    later = [bound for bound in bounds[::step] if bound.encode() > after.encode()]
    yield from pairwise([after, *later, None])


def _within(source: ShopAll, column: str, text: str, low: str, high: str | None) -> list[str]:
    until = sql.SQL("and {}::text ~<=~ {}").format(sql.Identifier(column), sql.Literal(high))
    parts = [
        sql.SQL(RANGE).format(
            column=sql.Identifier(column),
            table=quoted(kind),
            after=sql.Literal(low),
            pattern=sql.Literal(f"%{escaped(text)}%"),
            until=until if high is not None else sql.SQL(""),
        )
        for kind in kinds_of(column)
    ]
    with source.snapshot():
        return [value for (value,) in source.rows(sql.SQL(" union ").join(parts))]
