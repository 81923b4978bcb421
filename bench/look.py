"""A look with nothing to move: what every run costs when head office has written nothing."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from statistics import median
from typing import Any

import psycopg2

from bench import data, engine
from bench.ground import Ground, Installation
from bench.report import Table
from bench.sizes import Sizes
from bench.timing import MS, quantile, timed
from tests.databases import query

LOOKS = 50


def measure(ground: Ground, sizes: Sizes) -> list[Table]:
    rows = sizes.of(1_000_000, 100)
    columns = ["look", "p50 ms", "p95 ms", "WAL bytes"]
    table = Table(f"Nothing new, after {rows:,} balance changes", columns)
    with ground.installation() as at:
        at.dock("bench", at.bonus)
        data.stage(at.shop_all, "balances", rows)
        engine.move(at.shop_all, at.bonus, "balances")
        table.rows += looks(at, sizes, "no writer")
        table.rows.append(command(at, sizes))
    with ground.installation() as at, idle_writer(at.shop_all):
        data.stage(at.shop_all, "balances", rows)
        engine.move(at.shop_all, at.bonus, "balances")
        table.rows += looks(at, sizes, "a writer has been idle since before all of them")
    table.notes = [
        "WAL bytes: written in the whole server by one look, both sides; 0 means nothing was "
        "written anywhere. Target: under 2 ms with connections that are open, and 0 bytes."
    ]
    return [table]


@contextmanager
def idle_writer(shop_all: str) -> Iterator[None]:
    """A transaction that has written a row, and neither goes on nor ends."""
    table, _ = engine.tables("balances")
    row = data.insert(table, engine.columns("balances"), data.STAGED["balances"], 0, 0)
    with closing(psycopg2.connect(shop_all)) as writer, writer.cursor() as cursor:
        cursor.execute(row)
        yield


def looks(at: Installation, sizes: Sizes, when: str) -> list[list[Any]]:
    count = sizes.of(LOOKS, 3)
    with engine.open_databases(at.shop_all, at.bonus) as opened:
        engine.move_through(opened, "balances")
        warm = [timed(lambda: engine.move_through(opened, "balances")) for _ in range(count)]
        wal = median(
            written(at, lambda: engine.move_through(opened, "balances")) for _ in range(count)
        )
    fresh = [timed(lambda: engine.move(at.shop_all, at.bonus, "balances")) for _ in range(count)]
    return [
        [f"connections open, {when}", *spread(warm), int(wal)],
        [f"fresh connections, {when}", *spread(fresh), None],
    ]


def command(at: Installation, sizes: Sizes) -> list[Any]:
    arguments = at.command("transfer", "balances", "--json")
    at.run(arguments)  # takes over what the engine has moved
    taken = [timed(lambda: at.run(arguments)) for _ in range(sizes.of(10, 1))]
    return ["manage.py transfer, the whole process", *spread(taken), None]


def spread(seconds: list[float]) -> list[float]:
    return [median(seconds) * MS, quantile(seconds, 0.95) * MS]


def written(at: Installation, work: Any) -> int:
    """Bytes of write-ahead log that the server has written meanwhile."""
    (before,) = query(at.ground.dsn, "select pg_current_wal_insert_lsn()")[0]
    work()
    (wal,) = query(
        at.ground.dsn, "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s)", [before]
    )[0]
    return int(wal)
