"""What somebody may mean by a few digits: an account, a card, their ends, a staged row."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.conf import settings
from psycopg2 import sql

from transfer.engine.kinds import Kind
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TooSlow
from transfer.servers.ask import shop_all
from transfer.trace.complete import COLUMNS, MOST, complete, escaped, kinds_of
from transfer.words import formats

SHORTEST = 3
LONGEST = 100

EXACT = "select exists (select from {staged} where {column} = {value})"


@dataclass
class Matches:
    """Accounts, cards and staged rows that a text may mean."""

    exact: list[str] = field(default_factory=list)  # "account", "card"
    accounts: list[str] = field(default_factory=list)
    cards: list[str] = field(default_factory=list)
    rows: list[tuple[Kind, int, str, str]] = field(default_factory=list)
    too_short: bool = False
    silent: list[str] = field(default_factory=list)  # databases that did not answer in time


def search(text: str, seconds: float = 3.0) -> Matches:
    """Finds exact numbers; else those that are known to begin or end so. Raises TransferError."""
    matches = Matches()
    with shop_all(seconds) as source:
        with source.snapshot():
            source.reader.read_by_value()
            matches.exact = [c for c in COLUMNS if _is_there(source, c, text)]
            matches.rows = _numbered(source, text)
        if not matches.exact:
            matches.too_short = len(text) < SHORTEST and not matches.rows
            if len(text) >= SHORTEST:
                _complete(source, text, matches)
    return matches


def _complete(source: ShopAll, text: str, matches: Matches) -> None:
    """Numbers that begin or end so, as far as they are known and staged."""
    numbers = complete(text)
    matches.silent = numbers.silent
    matches.accounts, matches.cards = (sorted(numbers.staged[column])[:MOST] for column in COLUMNS)
    try:
        with source.snapshot():
            source.reader.read_by_value()
            for column, values in (("account", matches.accounts), ("card", matches.cards)):
                for value in sorted(numbers.known[column] - numbers.staged[column])[:MOST]:
                    if len(values) < MOST and _is_there(source, column, value):
                        values.append(value)
    except TooSlow:
        matches.silent.append(source.database.name)


def _is_there(source: ShopAll, column: str, text: str) -> bool:
    return any(
        source.database.one(
            sql.SQL(EXACT).format(
                staged=kind.staged, column=sql.Identifier(column), value=sql.Literal(text)
            )
        )[0]
        for kind in kinds_of(column)
    )


def number_named(text: str) -> int | None:
    """The number that somebody means by "№ 12", "#12" or "12"."""
    return formats.number_in(text.removeprefix("№").removeprefix("#").strip(), 18)


def _numbered(source: ShopAll, text: str) -> list[tuple[Kind, int, str, str]]:
    """Finds staged rows with this number: kind, number, and whose trace it is part of."""
    number, rows = number_named(text), []
    if not number or text.lstrip("№# ").startswith("0"):
        return []
    for kind in settings.KINDS.values():
        column = kind.columns[0].name
        query = sql.SQL("select {} from {} where id = {}").format(
            sql.Identifier(column), kind.staged, sql.Literal(number)
        )
        rows += [(kind, number, column, value or "") for (value,) in source.database.rows(query)]
    return rows


SECONDS = 5.0
PAGES = 1024  # of a table, looked through at once: the search can stop between two of them
ORDER = ("cards", "pincodes", "balances")  # that in which both are found comes first

SIZE = "select pg_relation_size(%s::regclass) / current_setting('block_size')::int"
RANGE = """
    select distinct {columns} from {staged}
     where ctid >= {low} and ctid < {high} and ({fits})
"""


@dataclass(frozen=True)
class Stop:
    """How far a search has read: this table from `page` on, and the tables before it in ORDER."""

    kind: str
    page: int
    share: int = 0  # per cent of all pages that have been looked through


@dataclass
class InsideMatches:
    """Accounts and cards, MOST of each; and where the search stopped when time ran out."""

    accounts: list[str] = field(default_factory=list)
    cards: list[str] = field(default_factory=list)
    stopped: Stop | None = None


def search_inside(text: str, start: Stop | None = None) -> InsideMatches:
    """Reads what is staged, for SECONDS at most, the last pages of each table first.

    It goes on from `start`. Raises TransferError when shop All fails.
    """
    values: dict[str, set[str]] = {column: set() for column in COLUMNS}
    stopped: Stop | None = start or Stop(ORDER[0], sys.maxsize)
    with shop_all(SECONDS) as source:
        try:
            for kind, low, place in _ranges(source, start):
                stopped = place
                columns = [c for c in COLUMNS if c in kind.names and len(values[c]) < MOST]
                for column, value in _within(source, kind, columns, text, (low, place.page)):
                    values[column].add(value)
            stopped = None
        except TooSlow:
            pass
    accounts, cards = (sorted(values[column])[:MOST] for column in COLUMNS)
    return InsideMatches(accounts, cards, stopped)


def _ranges(source: ShopAll, start: Stop | None) -> Iterator[tuple[Kind, int, Stop]]:
    """Yields what a search has not read, in parts: kind, first page, and their end."""
    kinds = [settings.KINDS[name] for name in ORDER]
    with source.snapshot():
        sizes = [int(source.database.one(SIZE, [kind.staging_table])[0]) for kind in kinds]
    first = ORDER.index(start.kind) if start else 0
    done, whole = sum(sizes[:first]), max(sum(sizes), 1)
    for kind, size in list(zip(kinds, sizes, strict=True))[first:]:
        high = min(start.page, size) if start and kind.name == start.kind else size
        done += size - high
        while high > 0:
            low = max(high - PAGES, 0)
            yield kind, low, Stop(kind.name, high, 100 * done // whole)
            done, high = done + high - low, low


def _within(
    source: ShopAll, kind: Kind, columns: list[str], text: str, pages: tuple[int, int]
) -> Iterator[tuple[str, str]]:
    """Yields column and value of each that has the text in it."""
    if not columns:
        return
    low, high = (sql.Literal(f"({page},0)") for page in pages)
    names = [sql.SQL("{}::text").format(sql.Identifier(column)) for column in columns]
    pattern = sql.Literal(f"%{escaped(text)}%")
    query = sql.SQL(RANGE).format(
        columns=sql.SQL(", ").join(names),
        staged=kind.staged,
        low=low,
        high=high,
        fits=sql.SQL(" or ").join(sql.SQL("{} like {}").format(name, pattern) for name in names),
    )
    with source.snapshot():
        for row in source.database.rows(query):
            for column, value in zip(columns, row, strict=True):
                if value is not None and text in value:
                    yield column, value
