"""A chain of 30 bonus servers on one machine: three clusters, every task as rows arrive.

One cluster has our own database and shop All, the two others fifteen bonus servers each.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any

from bench.arrivals import ROWS, delays, idle, switch_on
from bench.ground import Ground, Installation, new_cluster
from bench.latency import resident
from bench.report import Table
from bench.sizes import Sizes
from bench.timing import quantile
from tests.databases import Server, connected, migrate_bonus_server, query, run

SERVERS, CLUSTERS = 30, 2
TEMPLATE = "bench_chain_bonus"
BETWEEN_LOOKS = 0.5  # seconds: counting rows takes time that the transfers need
AT_MOST = 1800
# Rows of each kind, of accounts and cards that differ.
STAGE = """
    insert into "changeAccountBalanceTemp" (account, amount)
    select '41' || n, 1 from generate_series(1, %(rows)s) as n;
    insert into "accountpincodeTemp" (account, pincode)
    select '41' || n, '1234' from generate_series(1, %(rows)s) as n;
    insert into "changeCardAccountTemp" (card, account, status)
    select '77' || n, '41' || n, 1 from generate_series(1, %(rows)s) as n;
"""


def measure(ground: Ground, sizes: Sizes) -> list[Table]:
    servers, rows = 4 if sizes.is_quick else SERVERS, sizes.of(50_000, 20)
    with ground.installation() as at, bonus_databases(servers) as dsns:
        docked = timed(lambda: dock(at, dsns))
        with resident(at, "db_worker"):
            arrived = arrive(at, dsns, rows)
            single = delays(at, dsns, sizes.of(100, 3))
        at_rest = idle(at, servers, sizes)
        commands = list(administrate(at))
    flows = f"{servers} × {len(ROWS)}"
    single_row = [flows, median(single), quantile(single, 0.95), max(single), len(single)]
    moved = 3 * rows * servers
    return [
        Table(
            "Rows of each kind, committed at once, until every bonus server has all of them",
            ["bonus servers × kinds", "rows of each kind", "s", "rows/s on all servers"],
            [[flows, rows, arrived, moved / arrived]],
        ),
        Table(
            "From the commit of a single row until every bonus server has it",
            ["bonus servers × kinds", "median s", "p95 s", "most s", "rows"],
            [single_row],
        ),
        Table(
            "Nothing arrives",
            ["bonus servers × kinds", "% of a processor", "transactions/s: shop All", "own"],
            [at_rest],
        ),
        Table("What an administrator does", ["", "s"], [["docking all", docked], *commands]),
    ]


@contextmanager
def bonus_databases(count: int) -> Iterator[list[str]]:
    """The DSNs of so many databases of bonus servers, on clusters of their own."""
    with ExitStack() as stack:
        clusters = [Server(stack.enter_context(new_cluster())) for _ in range(CLUSTERS)]
        for cluster in clusters:
            migrate_bonus_server(cluster.create(TEMPLATE))
        yield [
            clusters[number % CLUSTERS].create(f"bench_chain_{number}", TEMPLATE)
            for number in range(count)
        ]


def dock(at: Installation, dsns: list[str]) -> None:
    for number, dsn in enumerate(dsns, 1):
        switch_on(at.dock(f"bench {number}", dsn))


def arrive(at: Installation, dsns: list[str], rows: int) -> float:
    """Seconds from the commit of so many rows of each kind until all databases have them."""
    with ExitStack() as stack:
        waiting = [stack.enter_context(connected(dsn)) for dsn in dsns]
        query(at.shop_all, STAGE, {"rows": rows})
        committed = time.monotonic()
        while waiting := [one for one in waiting if not has_all(one, rows)]:
            assert time.monotonic() - committed < AT_MOST, f"{len(waiting)} servers lack rows"
            time.sleep(BETWEEN_LOOKS)
        return time.monotonic() - committed


def has_all(connection: Any, rows: int) -> bool:
    return all(run(connection, counted) >= [(rows,)] for _, counted in ROWS.values())


def administrate(at: Installation) -> Iterator[list[Any]]:
    """Commands that ask all servers, each with the seconds that it takes."""
    yield ["manage.py reconcile", timed(lambda: at.manage("reconcile"))]
    lists = timed(lambda: at.manage("confirm_shop_all", "--dry-run"))
    yield ["manage.py confirm_shop_all --dry-run", lists]
    yield ["manage.py transfer all, no row waits", timed(lambda: at.manage("transfer", "all"))]


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began
