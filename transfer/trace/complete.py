"""Finds accounts and cards by their beginning, in the indexes of the bonus servers' tables.

The staging tables have summaries, which answer whole numbers only: an index by beginnings would
cost each writer several times the row.
"""

from dataclasses import dataclass

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.errors import TransferError
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
    """Numbers that begin with a text, and the names of servers that did not answer in time."""

    numbers: Numbers
    silent: list[str]


def kinds_of(column: str) -> list[Kind]:
    """The kinds whose tables have the column."""
    return [kind for kind in installed_kinds().values() if column in kind.names]


def complete(text: str) -> Completions:
    """Asks every bonus server, within SECONDS, for MOST numbers of each kind."""
    result = Completions({column: set() for column in COLUMNS}, [])
    servers = BonusServer.objects.all()
    for server, answer in ask_all(
        servers, lambda one, within: _numbers_at(one, text, within), SECONDS
    ):
        if isinstance(answer, TransferError):
            result.silent.append(server.name)
            continue
        for column, values in answer.items():
            result.numbers[column] |= values
    return result


def _numbers_at(server: BonusServer, text: str, seconds: float) -> Numbers:
    """Reads each kind by its key column only: it is the one that has an index."""
    numbers: Numbers = {column: set() for column in COLUMNS}
    begins = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    with bonus_db(server, seconds, secret=True) as target:
        for kind in server.kinds.values():
            column = kind.columns[0].name
            query = sql.SQL(BEGINS).format(
                column=sql.Identifier(column),
                rows=kind.held,
                text=sql.Literal(text),
                begins=sql.Literal(begins),
                most=sql.Literal(MOST),
            )
            with target.database.transaction(commit=False):
                numbers[column].update(value for (value,) in target.database.rows(query))
    return numbers
