"""Random histories of the ledger's rules without databases; every rule that is taken out shows."""

import os

import pytest

from tests.chaos.ledger import histories, two_shop_alls
from tests.chaos.ledger.controls import CONTROLS, Control
from tests.chaos.ledger.oracle import Wrong

PARTS = range(8)
HISTORIES = 200  # of a part; about 2 seconds
QUESTIONS = 250  # of a part; about 1 second
CHAOS_PARTS = range(25)
CHAOS_HISTORIES = 4_000  # of a part: 100,000 in all; about a minute
CHAOS_QUESTIONS = 1_000
SEARCHED = 5_000  # seeds for a control that the model, as it was changed, does not notice any more
FIRST_OF_CHAOS = 100_000  # seeds beyond those of `make test`

in_chaos = pytest.mark.skipif(
    "CHAOS_SECONDS" not in os.environ, reason="takes twenty minutes: make chaos"
)


def seeds(part: int, size: int, first: int = 1) -> range:
    return range(first + part * size, first + (part + 1) * size)


@pytest.mark.parametrize("part", PARTS)
def test_each_row_arrives_exactly_once_in_random_histories(part: int) -> None:
    for seed in seeds(part, HISTORIES):
        histories.play(seed)


@pytest.mark.parametrize("part", PARTS)
def test_no_row_of_another_shop_all_reaches_a_server(part: int) -> None:
    for seed in seeds(part, QUESTIONS):
        two_shop_alls.play(seed)


@in_chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", CHAOS_PARTS)
def test_each_row_arrives_exactly_once_in_a_hundred_thousand_histories(part: int) -> None:
    for seed in seeds(part, CHAOS_HISTORIES, FIRST_OF_CHAOS):
        histories.play(seed)
    for seed in seeds(part, CHAOS_QUESTIONS, FIRST_OF_CHAOS):
        two_shop_alls.play(seed)


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: control.name)
def test_a_rule_that_is_taken_out_is_noticed(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    control.play(control.seed)  # with all rules: no failure
    for where, guard, replacement in control.guards:
        monkeypatch.setattr(where, guard, replacement)
    if not is_noticed(control, control.seed):
        found = (seed for seed in range(1, SEARCHED) if is_noticed(control, seed))
        pytest.fail(
            f"{control.name} is not noticed; record the seed {next(found, 'of a new search')}"
        )


def is_noticed(control: Control, seed: int) -> bool:
    try:
        control.play(seed)
    except Wrong:
        return True
    return False


def test_each_control_replaces_a_guard_by_another_one() -> None:
    names = [control.name for control in CONTROLS]
    assert len(set(names)) == len(names)
    for control in CONTROLS:
        for where, guard, replacement in control.guards:
            assert getattr(where, guard) is not replacement
