"""How a number may go on: whole accounts and cards, from tables where they are found quickly.

The staging tables are indexed by summaries, which know whole numbers alone: an index by beginnings
and ends would cost whoever writes several times the row.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import product

from django.conf import settings
from django.db.models import Q
from psycopg2 import sql

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kinds import Kind
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TooSlow, TransferError
from transfer.models import BonusServer, RejectedRow
from transfer.servers.ask import ask_all, bonus_db, shop_all

COLUMNS = ("account", "card")
MOST = 20
SECONDS = 1.0
LATEST = 20_000  # staged rows of a table: what no bonus server has yet is among them

# Whatever the collation, digits and Latin letters come before this. A beginning is a range of an
# index; an end is looked for as long as there is time.
BEGINS = """
    select distinct {column}::text from {rows}
     where {column} >= {text} and {column} <= {text} || 'zzz' and {column}::text like {begins}
     order by 1 limit {most}
"""
ENDS = "select distinct {column}::text from {rows} where {column}::text like {ends} limit {most}"
STAGED = """
    select distinct {column}::text
      from (select {column} from {rows} order by xid desc, id desc limit {latest}) as latest
     where {column}::text like {begins} or {column}::text like {ends}
"""


Numbers = dict[str, set[str]]  # by column


@dataclass
class KnownNumbers:
    """Numbers that begin or end so, and the databases that have not said all in time."""

    staged: Numbers
    known: Numbers  # they may be staged, or not
    silent: list[str]


def kinds_of(column: str) -> list[Kind]:
    """The kinds whose tables have the column."""
    return [kind for kind in settings.KINDS.values() if column in kind.names]


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def complete(text: str) -> KnownNumbers:
    """What was staged last, what was rejected, and what the bonus servers hold; within SECONDS."""
    result = KnownNumbers(_nothing(), _rejected(text), [])
    databases = [*BonusServer.objects.all(), None]
    for server, answer in ask_all(databases, lambda one, within: _ask(one, text, within), SECONDS):
        numbers, is_all = ({}, False) if isinstance(answer, TransferError) else answer
        for column, more in numbers.items():
            (result.known if server else result.staged)[column].update(more)
        if not is_all:
            result.silent.append(server.name if server else "shop All")
    return result


def _nothing() -> Numbers:
    return {column: set() for column in COLUMNS}


def _rejected(text: str) -> Numbers:
    """Numbers of rejected rows, which no bonus server may hold."""
    rejected = _nothing()
    for column, numbers in rejected.items():
        name = f"payload__{column}"
        fits = Q(**{f"{name}__startswith": text}) | Q(**{f"{name}__endswith": text})
        rows = RejectedRow.objects.filter(fits).order_by()
        numbers.update(rows.values_list(name, flat=True).distinct()[:MOST])
    return rejected


def _ask(server: BonusServer | None, text: str, seconds: float) -> tuple[Numbers, bool]:
    """What a bonus server holds, or shop All (None) has got last; and whether that is all."""
    if server is None:
        source = shop_all(seconds, secret=True)
        return _answer(source, [STAGED], text, lambda kind: kind.staged)
    target = bonus_db(server, seconds, secret=True)
    return _answer(target, [BEGINS, ENDS], text, lambda kind: kind.held)


def _answer(
    opened: AbstractContextManager[ShopAll | BonusDatabase],
    statements: list[str],
    text: str,
    rows: Callable[[Kind], sql.Composed],
) -> tuple[Numbers, bool]:
    numbers = _nothing()
    values: dict[str, sql.Composable] = {
        "text": sql.Literal(text),
        "begins": sql.Literal(f"{escaped(text)}%"),
        "ends": sql.Literal(f"%{escaped(text)}"),
        "latest": sql.Literal(LATEST),
        "most": sql.Literal(MOST),
    }
    with opened as door:
        for statement, column in product(statements, COLUMNS):
            for kind in kinds_of(column):
                names = {"column": sql.Identifier(column), "rows": rows(kind)}
                query = sql.SQL(statement).format(**names, **values)
                try:
                    with door.database.transaction(commit=False):
                        numbers[column].update(value for (value,) in door.database.rows(query))
                except TooSlow:
                    return numbers, False
    return numbers, True
