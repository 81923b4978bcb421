"""What a number may mean: an account, a card, their beginning, a staged row."""

from dataclasses import dataclass, field

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.shop_all.source import ShopAll
from transfer.installed import installed_kinds
from transfer.servers.ask import shop_all
from transfer.text import formats
from transfer.trace.complete import COLUMNS, MOST, complete, kinds_of

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
    silent: list[str] = field(default_factory=list)  # servers that did not answer in time
    unread: list[str] = field(default_factory=list)  # servers with a table that we can't read


def search(text: str, seconds: float = 3.0) -> Matches:
    """Finds staged numbers; else those on the bonus servers that begin so. Raises TransferError."""
    matches = Matches()
    with shop_all(seconds, secret=True) as source, source.snapshot(*installed_kinds().values()):
        source.rows.by_value()
        matches.exact = [column for column in COLUMNS if _is_staged(source, column, text)]
        matches.rows = _numbered(source, text)
    if not matches.exact:
        matches.too_short = len(text) < SHORTEST and not matches.rows
        if len(text) >= SHORTEST:
            found = complete(text)
            matches.silent, matches.unread = found.silent, found.unread
            matches.accounts, matches.cards = (
                sorted(found.numbers[column])[:MOST] for column in COLUMNS
            )
    return matches


def _is_staged(source: ShopAll, column: str, text: str) -> bool:
    return any(
        source.database.only_row(
            sql.SQL(EXACT).format(
                staged=kind.staged, column=sql.Identifier(column), value=sql.Literal(text)
            )
        )[0]
        for kind in kinds_of(column)
    )


def number_named(text: str) -> int | None:
    """The number that "№ 12", "#12" or "12" names."""
    return formats.number_in(text.removeprefix("№").removeprefix("#").strip(), 18)


def _numbered(source: ShopAll, text: str) -> list[tuple[Kind, int, str, str]]:
    """Finds staged rows with this number: kind, number, and whose trace it is part of."""
    number, rows = number_named(text), []
    if not number or text.lstrip("№# ").startswith("0"):
        return []
    for kind in installed_kinds().values():
        subject = subject_of(source, kind, number)
        if subject is not None:
            rows.append((kind, number, kind.columns[0].name, subject))
    return rows


def subject_of(source: ShopAll, kind: Kind, number: int) -> str | None:
    """The account or card of a staged row, "" if it has none; None if there is no such row."""
    query = sql.SQL("select {} from {} where id = {}").format(
        sql.Identifier(kind.columns[0].name), kind.staged, sql.Literal(number)
    )
    found = source.database.rows(query)
    return (found[0][0] or "") if found else None
