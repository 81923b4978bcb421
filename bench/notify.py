"""What NOTIFY would cost head office's writers, if it told us of new rows. The product polls.

Several writers commit single rows at once, as tills and scripts do: into a staging table as
`init_shop_all` leaves it, and into the same with a statement trigger that notifies a listener.
PostgreSQL lets one transaction at a time commit notifications, of all databases of the cluster.
"""

import subprocess
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from bench.ground import Ground, Installation
from bench.report import Table
from bench.sizes import Sizes
from bench.timing import interleaved
from tests.databases import as_url, connected, query, run

WRITERS = (1, 8, 32)
POLLED, NOTIFIED = "polled, as it is", "with NOTIFY in a trigger"
INSERT = "insert into \"changeAccountBalanceTemp\" (account, amount) values ('4100', 1);"
TRIGGER = """
    create function notify_rows() returns trigger language plpgsql
        as $$ begin notify rows_arrived; return null; end $$;
    create trigger notify_rows after insert on "changeAccountBalanceTemp"
        for each statement execute function notify_rows()
"""
NO_TRIGGER = "drop function if exists notify_rows() cascade"


def measure(ground: Ground, sizes: Sizes) -> list[Table]:
    columns = ["writers", "", "commits/s", "× polled"]
    with ground.installation() as at:
        lines = [line for writers in WRITERS for line in lines_of(at, writers, sizes)]
    return [Table("Commits of single rows", columns, lines)]


def lines_of(at: Installation, writers: int, sizes: Sizes) -> list[list[Any]]:
    taken: dict[str, list[float]] = {POLLED: [], NOTIFIED: []}
    for _, way in interleaved(list(taken), sizes.rounds):
        query(at.shop_all, NO_TRIGGER)
        if way == NOTIFIED:
            query(at.shop_all, TRIGGER)
        at.checkpoint()
        taken[way].append(commits(at, writers, 20 if sizes.factor == 1 else 2))
    ratios = [after / before for before, after in zip(*taken.values(), strict=True)]
    rates = {way: median(rates) for way, rates in taken.items()}
    return [
        [writers, POLLED, rates[POLLED], 1.0],
        [writers, NOTIFIED, rates[NOTIFIED], median(ratios)],
    ]


def commits(at: Installation, writers: int, seconds: int) -> float:
    """How many rows the writers commit in a second, while a session listens."""
    with connected(at.shop_all) as listener, tempfile.NamedTemporaryFile("w") as script:
        run(listener, "listen rows_arrived")
        script.write(INSERT)
        script.flush()
        done = subprocess.run(
            [
                Path(at.ground.psql()).with_name("pgbench"),
                *("--no-vacuum", "--jobs=2", f"--client={writers}", f"--time={seconds}"),
                *(f"--file={script.name}", as_url(at.shop_all)),
            ],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
    return float(done.stdout.partition("\ntps = ")[2].split()[0])
