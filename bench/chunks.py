"""`python -m bench.chunks`: chunks that are hard to judge or to apply, by the engine in process.

Each is 50,000 rows, one chunk. None may take much longer than another: where rows are compared
each with each, minutes become of a second.
"""

import tempfile
import time
from pathlib import Path

from tests.chaos.cluster import Cluster
from tests.databases import query
from transfer.engine import move
from transfer.engine.bonus_db import BonusDatabase
from transfer.engine.kinds import CARDS, PINCODES, Kind
from transfer.engine.position import Totals
from transfer.engine.shop_all import ShopAll

ROWS = 50_000
STAGE_CARDS = """
    insert into "changeCardAccountTemp" (card, account, status)
    select {} from generate_series(1, %s) as n
"""
STAGE_PINS = """
    insert into "accountpincodeTemp" (account, pincode)
    select {} from generate_series(1, %s) as n
"""
SCENES: list[tuple[str, Kind, str]] = [
    ("cards, all new", CARDS, "'c' || n, 'a' || n, n %% 4"),
    ("cards, each known and changed", CARDS, "'c' || n, null, (n + 1) %% 4"),
    ("cards, each known and unchanged", CARDS, "'c' || n, null, (n + 1) %% 4"),
    (
        "cards, half of them unknown",
        CARDS,
        "case n %% 2 when 0 then 'c' else 'u' end || n, null, 2",
    ),
    ("one unknown card", CARDS, "'one', null, n %% 4"),
    (
        "240 cards, linked later",
        CARDS,
        "'w' || n %% 240, case when n > 25000 and n %% 3 = 0 then 'a' end, n %% 4",
    ),
    ("PIN codes, all new", PINCODES, "'a' || n, n::text"),
    ("PIN codes, each changed", PINCODES, "'a' || n, (n + 1)::text"),
    ("PIN codes of 20 accounts", PINCODES, "'a' || n %% 20, n::text"),
    ("PIN codes, all rejected", PINCODES, "null, n::text"),
]


def timed(cluster: Cluster, kind: Kind) -> tuple[float, Totals]:
    began, totals = time.monotonic(), Totals()
    with (
        ShopAll(cluster.shop_all, "bench") as source,
        BonusDatabase(cluster.bonus, "bonus server", "bench") as target,
    ):
        origin = move.prepare(kind, source, target).origin
        for chunk in move.transfer(kind, source, target, origin):
            totals += chunk.totals
    return time.monotonic() - began, totals


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="dt") as home:
        cluster = Cluster(Path(home))
        try:
            cluster.set_up()
            print(f"{'50,000 rows':34}{'seconds':>9}{'applied':>9}{'same':>9}{'rejected':>9}")
            for name, kind, columns in SCENES:
                stage = STAGE_CARDS if kind is CARDS else STAGE_PINS
                query(cluster.shop_all, stage.format(columns), [ROWS])
                seconds, totals = timed(cluster, kind)
                print(
                    f"{name:34}{seconds:9.2f}{totals.applied:9}{totals.unchanged:9}"
                    f"{totals.rejected:9}"
                )
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
