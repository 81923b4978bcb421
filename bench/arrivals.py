"""Tasks that run as rows arrive: from a commit until every bonus server has the row; and idle.

One `db_worker` on the same machine looks for rows, and runs all tasks of all servers.
"""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from operator import sub
from pathlib import Path
from statistics import median
from typing import Any

from psycopg2.extensions import parse_dsn

from bench.ground import Ground, Installation
from bench.latency import resident, wait_until
from bench.report import Table
from bench.sizes import Sizes
from bench.timing import quantile
from tests.databases import connected, query, run

# By kind: a row that is new each time, and how many such rows a bonus server has.
ROWS = {
    "balances": (
        'insert into "changeAccountBalanceTemp" (account, amount) values (%s, 1)',
        "select count(*) from asset",
    ),
    "pincodes": (
        'insert into "accountpincodeTemp" (account, pincode) values (%s, 1234)',
        "select count(*) from pincode",
    ),
    "cards": (
        'insert into "changeCardAccountTemp" (card, account, status) values (%s, 1, 1)',
        'select count(*) from "cardAccounting"',
    ),
}
# Transactions that have ended in a database, ours and those of everybody else.
TRANSACTIONS = """
    select sum(xact_commit + xact_rollback) from pg_stat_database where datname = %s
"""


FEW, MANY, MOST = 3, 30, 100  # bonus servers, each with three kinds


def measure(ground: Ground, sizes: Sizes) -> list[Table]:
    with ground.installation() as at:
        many, most = sizes.of(MANY, 4), sizes.of(MOST, 5)
        names = docked(at, 0, 1)
        at_rest = [idle(at, 1, sizes)]
        names += docked(at, 1, FEW)
        moved = [busy(at, names, sizes)]
        names += docked(at, FEW, many)
        moved.append(busy(at, names, sizes))
        at_rest.append(idle(at, many, sizes))
        docked(at, many, most)
        at_rest.append(idle(at, most, sizes))
    servers = "bonus servers × kinds"
    columns = [servers, "median s", "p95 s", "most s", "rows"]
    transactions = "transactions/s: shop All"
    return [
        Table("From commit until all bonus servers have the row", columns, moved),
        Table("Nothing arrives", [servers, "% of a processor", transactions, "own"], at_rest),
    ]


def busy(at: Installation, names: list[str], sizes: Sizes) -> list[Any]:
    """How long single rows take, one after the other."""
    with resident(at, "db_worker"):
        taken = delays(at, names, sizes.of(100, 3))
    return [f"{len(names)} × 3", median(taken), quantile(taken, 0.95), max(taken), len(taken)]


def docked(at: Installation, first: int, end: int) -> list[str]:
    """Docks servers whose tasks run as rows arrive and have run once; the DSNs of their tables."""
    dsns = []
    for number in range(first, end):
        dsns.append(at.ground.create(f"b{number}") if number else at.bonus)
        switch_on(at.dock(f"bench {number}", dsns[-1]))
    return dsns


def switch_on(server: Any) -> None:
    from transfer.models import Actor
    from transfer.models.run_base import Trigger
    from transfer.runs.execute import run_here
    from transfer.text.schedule import AS_ROWS_ARRIVE

    for task in server.tasks.select_related("server"):
        task.reschedule(AS_ROWS_ARRIVE, Actor("bench"))
        task.switch(True, Actor("bench"))
        run_here(task, Trigger.COMMAND)


def delays(at: Installation, dsns: list[str], count: int) -> list[float]:
    """Seconds from the commit of a row until all of these databases have it, for single rows."""
    taken = []
    with ExitStack() as stack:
        shop_all = stack.enter_context(connected(at.shop_all))
        bonuses = [stack.enter_context(connected(dsn)) for dsn in dsns]
        for number in range(count):
            insert, counted = list(ROWS.values())[number % len(ROWS)]
            before = [run(bonus, counted) for bonus in bonuses]
            run(shop_all, insert, [str(time.time_ns())])
            committed = time.monotonic()
            for bonus, rows in zip(bonuses, before, strict=True):
                wait_until(lambda one=(bonus, counted), rows=rows: run(*one) != rows)
            taken.append(time.monotonic() - committed)
    return taken


def idle(at: Installation, servers: int, sizes: Sizes) -> list[Any]:
    """What a worker costs while nothing arrives."""
    seconds = 30 if sizes.factor == 1 else 3
    with worker(at) as pid:
        time.sleep(seconds / 3)  # it starts; what is measured is a time span
        used, ended = processor(pid), transactions(at)
        time.sleep(seconds)
        share = (processor(pid) - used) / seconds
        new = map(sub, transactions(at), ended)
    return [f"{servers} × 3", 100 * share, *(count / seconds for count in new)]


@contextmanager
def worker(at: Installation) -> Iterator[int]:
    process = at.start("db_worker")
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def processor(pid: int) -> float:
    """Seconds of processor time that a process has used. proc(5): fields 14 and 15 of stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def transactions(at: Installation) -> list[int]:
    """Of shop All, and of our own database."""
    names = [parse_dsn(dsn)["dbname"] for dsn in (at.shop_all, at.own)]
    return [int(query(at.ground.dsn, TRANSACTIONS, [name])[0][0]) for name in names]
