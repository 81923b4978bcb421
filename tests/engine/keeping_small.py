"""What keeps shop All and bonus servers small: purges, and lifetimes of lines."""

from collections.abc import Iterator
from typing import Any

from psycopg2 import sql

from tests import restores
from tests.databases import query
from tests.flow import US, Flow
from transfer.engine.move.chunk import Chunk
from transfer.engine.move.transfer import transfer
from transfer.engine.shop_all.lifetime import end_lifetimes
from transfer.engine.shop_all.purge import KnownServer, Purged, purge as purge_rows
from transfer.engine.shop_all.source import ShopAll

DAYS = 60


def age(flow: Flow, days: int = 100) -> None:
    """Let all that is staged, and the log, be older by so many days."""
    restores.age(flow.shop_all, flow.kind, days)


def purge(flow: Flow, *servers: KnownServer, days: int = 10, **options: Any) -> Purged:
    with ShopAll(flow.shop_all, "tests", secret=False) as source:
        with source.database.transaction(commit=False):
            registered = source.installations.own(flow.spec, US)
        options = {"spared": (), "dry_run": False, **options}
        return purge_rows(flow.spec, source, servers, US, registered, days, **options)


def end(flow: Flow, *servers: KnownServer, days: int = DAYS) -> int:
    """End the lifetimes of lines; return of how many."""
    with ShopAll(flow.shop_all, "tests", secret=False) as source:
        return end_lifetimes(flow.spec, source, servers, US, days)


def move_from(flow: Flow, **options: Any) -> Iterator[Chunk]:
    """A transfer of which the test takes as many chunks as it wants."""
    with flow.open() as (source, target):
        origin = flow.prepare(source, target).origin
        options = {"dry_run": False, **options}
        yield from transfer(flow.spec, source, target, origin, flow.knowledge, **options)


def staged(flow: Flow) -> list[str]:
    """The first value of each staged row, sorted."""
    statement = sql.SQL("select {} from {} order by 1").format(
        sql.Identifier(flow.spec.names[0]), flow.spec.staged
    )
    return [name for (name,) in query(flow.shop_all, statement)]


def lines(flow: Flow, columns: str) -> list[tuple[Any, ...]]:
    """These columns of the lines, in their order."""
    return query(flow.shop_all, f"select {columns} from datatransfer.log order by kind, number")


def accounts(flow: Flow) -> list[str]:
    return [row[0] for row in flow.target_rows()]
