"""Copies of databases, and restores from them as fresh databases of the same name."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import connection
from psycopg2 import sql
from psycopg2.extensions import parse_dsn

from tests.databases import NOBODY_ELSE, WORKER, Server, close_kept, opened, query, run
from transfer.engine.question import confirm
from transfer.engine.shop_all.source import ShopAll
from transfer.installed import installed_kinds
from transfer.loading.undo_load import again
from transfer.models import LogPlace, Settings


class Copies:
    """Copies of databases by their names, and what puts one back."""

    def __init__(self, postgres: Server) -> None:
        self.postgres = postgres
        self.made: set[str] = set()

    def make(self, dsn: str, name: str) -> str:
        """Copy a database as it is now; return the DSN of the copy."""
        close_own(dsn)
        with opened(dsn) as other:
            run(other, NOBODY_ELSE)
        self.made.add(_copy(name))
        return self.postgres.create(_copy(name), template=_name(dsn))

    def take(self, dsn: str) -> str:
        """Copy a database as it is now; return a name for `restore`."""
        name = str(len(self.made))
        self.make(dsn, name)
        return name

    def restore(self, dsn: str, name: str) -> None:
        """Put the copy in the place of a database."""
        close_own(dsn)
        self.postgres.create(_name(dsn), template=_copy(name))


def close_own(dsn: str) -> None:
    """End our own sessions: a database that is copied or replaced has none."""
    close_kept(dsn)
    if _name(dsn) == connection.settings_dict["NAME"]:
        connection.close()


@pytest.fixture
def copies(postgres: Server) -> Iterator[Copies]:
    """Makes and restores copies of databases."""
    copies = Copies(postgres)
    yield copies
    for name in copies.made:
        postgres.drop(name)


def _copy(name: str) -> str:
    return f"test_copy_{name}_{WORKER}"


def _name(dsn: str) -> str:
    return str(parse_dsn(dsn)["dbname"])


def age(shop_all: str, kind: str = "balances", days: int = 40) -> None:
    """Let all that is staged of a kind, and the log, be older by so many days.

    The names of the rows change with it, so servers must not have to read them any more.
    """
    by = f"interval '{days} days'"
    table = installed_kinds()[kind].staging_table
    statement = sql.SQL(
        "alter table {table} disable trigger all;"
        f"update {{table}} set started = started - {by};"
        f"update datatransfer.log set started = started - {by}, appended_at = appended_at - {by}"
        " where kind = {kind};"
        f"update datatransfer.load set started = started - {by} where kind = {{kind}};"
        "alter table {table} enable always trigger zz_datatransfer_1_insert;"
        "alter table {table} enable always trigger zz_datatransfer_1_update;"
        "alter table {table} enable always trigger zz_datatransfer_2_update"
    )
    query(shop_all, statement.format(table=table, kind=sql.Literal(kind)))


def say_that_it_is_right() -> None:
    """As an administrator confirms that a restored shop All is the right database."""
    kinds = [*installed_kinds().values()]
    with ShopAll(settings.SHOP_ALL_DATABASE_URL, "tests", secret=False) as source:
        with source.snapshot():
            origin = source.identity.origin()
        installation = str(Settings.load().installation)
        places = confirm(source, kinds, installation, {}, lambda kind, _loads: None)
    for kind, place in places.items():
        LogPlace.objects.note_end(origin, kind, place)
    for one in kinds:
        again(one)
