"""Numbers with these digits anywhere in them. No index knows that: the values are walked through.

What that takes grows with the rows, so it goes by ranges of values, for some seconds at most, and
says where it stopped: from there it can be gone on with.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from django.conf import settings
from psycopg2 import sql

from transfer.errors import TooSlow
from transfer.shop_all import ShopAll, quoted
from transfer.trace_search import COLUMNS, MOST, escaped, kinds_of

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
class Inside:
    """Accounts and cards, MOST of each; and where the search stopped when time ran out."""

    accounts: list[str] = field(default_factory=list)
    cards: list[str] = field(default_factory=list)
    stopped: Stop | None = None


def search_inside(text: str, start: Stop | None = None) -> Inside:
    """Looks for SECONDS at most, on from `start`. Raises TransferError when shop All fails."""
    found, until = Inside(), time.monotonic() + SECONDS
    first = COLUMNS.index(start.column) if start else 0
    with ShopAll(settings.SHOP_ALL_DATABASE_URL, "trace") as source:
        for column in COLUMNS[first:]:
            after = start.value if start and column == start.column else ""
            values, stopped = _look(source, column, text, after, until)
            setattr(found, f"{column}s", sorted(values)[:MOST])
            if stopped is not None:
                found.stopped = Stop(column, stopped)
                break
    return found


def _look(
    source: ShopAll, column: str, text: str, after: str, until: float
) -> tuple[set[str], str | None]:
    """What it found, enough or all; and after which value, when time ran out."""
    values: set[str] = set()
    for low, high in _ranges(source, column, after):
        left = until - time.monotonic()
        if left <= 0:
            return values, low
        try:
            values.update(_within(source, column, text, low, high, left))
        except TooSlow:
            return values, low
        if len(values) >= MOST:
            break
    return values, None


def _ranges(source: ShopAll, column: str, after: str) -> Iterator[tuple[str, str | None]]:
    with source.snapshot():
        names = [kind.staging for kind in kinds_of(column)]
        known = {bound for (bound,) in source.rows(BOUNDS, [names, column]) if bound}
    bounds = sorted(known, key=str.encode)  # as ~<~ orders them
    step = max(1, len(bounds) // RANGES)
    later = [bound for bound in bounds[::step] if bound.encode() > after.encode()]
    yield from pairwise([after, *later, None])


def _within(
    source: ShopAll, column: str, text: str, low: str, high: str | None, seconds: float
) -> list[str]:
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
        source.execute(f"set local statement_timeout = {max(1, int(seconds * 1000))}")
        return [value for (value,) in source.rows(sql.SQL(" union ").join(parts))]
