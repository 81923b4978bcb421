"""Finds accounts and cards by their beginning, in the indexes of the bonus servers' tables.

The staging tables have summaries, which answer whole numbers only: an index by beginnings would
cost each writer several times the row.
"""

from dataclasses import dataclass

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database
from transfer.errors import QueryFailed, TransferError
from transfer.installed import installed_kinds
from transfer.models import BonusServer
from transfer.servers.ask import ask_all, bonus_db

COLUMNS = ("account", "card")
MOST = 20
SECONDS = 1.0

# In any collation, digits and Latin letters come before "zzz": this is a range of an index.
BEGINS = """
    select distinct {column}::text from {rows}
     where {column} >= {text} and {column} <= {text} || 'zzz' and {column}::text like {begins}
     order by 1 limit {most}
"""

Numbers = dict[str, set[str]]  # by column


@dataclass
class Completions:
    """Numbers that begin with a text, and the names of servers that may have more.

    `silent`: they did not answer in time; `unread`: a table of theirs could not be read.
    """

    numbers: Numbers
    silent: list[str]
    unread: list[str]


@dataclass
class Found:
    """What one server has answered. Where it falls silent, the tables read before still count."""

    numbers: Numbers
    is_silent: bool = False
    has_unread: bool = False


def no_numbers() -> Numbers:
    return {column: set() for column in COLUMNS}


def kinds_of(column: str) -> list[Kind]:
    """The kinds whose tables have the column."""
    return [kind for kind in installed_kinds().values() if column in kind.names]


def complete(text: str) -> Completions:
    """Asks every bonus server, within SECONDS, for MOST numbers of each kind."""
    result = Completions(no_numbers(), [], [])
    servers = BonusServer.objects.all()
    for server, answer in ask_all(
        servers, lambda one, within: _numbers_at(one, text, within), SECONDS
    ):
        if isinstance(answer, TransferError):
            result.silent.append(server.name)
            continue
        for column, values in answer.numbers.items():
            result.numbers[column] |= values
        if answer.is_silent:
            result.silent.append(server.name)
        if answer.has_unread:
            result.unread.append(server.name)
    return result


def _numbers_at(server: BonusServer, text: str, seconds: float) -> Found:
    """Reads each kind. A table that cannot be read costs the numbers of its kind only."""
    found = Found(no_numbers())
    try:
        with bonus_db(server, seconds, secret=True) as target:
            for kind in server.kinds.values():
                try:
                    values = _numbers_of(kind, target.database, text)
                except QueryFailed:
                    found.has_unread = True
                else:
                    found.numbers[kind.columns[0].name] |= values
    except TransferError:
        found.is_silent = True
    return found


def _numbers_of(kind: Kind, database: Database, text: str) -> set[str]:
    """Reads the key column only: it is the one that has an index. Raises TransferError."""
    key = kind.columns[0]
    begins = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    query = sql.SQL(BEGINS).format(
        column=sql.Identifier(key.name),
        rows=kind.bonus_server.rows([key]),
        text=sql.Literal(text),
        begins=sql.Literal(begins),
        most=sql.Literal(MOST),
    )
    with database.transaction(commit=False):
        return {value for (value,) in database.rows(query)}
