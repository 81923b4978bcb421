"""What of a staging table has reached a bonus server."""

import pytest

from transfer.engine.position import Position

BEFORE = Position("here", "balances", "10:20:12,15", reader="one")


@pytest.mark.parametrize(
    ("later", "is_within"),
    [
        (BEFORE, True),
        (Position("here", "balances", "15:25:15", reader="one"), True),
        (Position("here", "balances", "10:25:11", reader="one"), False),
        (Position("here", "balances", "10:19:12,15", reader="one"), False),
        (Position("here", "balances", "10:19:", "19:25:", 24, 9, reader="one"), False),
        (Position("here", "balances", "30:30:", reader="another"), False),
        (Position("elsewhere", "balances", "30:30:", reader="one"), False),
    ],
)
def test_a_position_is_within_another_that_has_surely_moved_all_of_it(later, is_within):
    assert BEFORE.is_within(later) is is_within


def test_of_a_batch_under_way_the_whole_batch_counts():
    under_way = Position("here", "balances", "10:20:", "20:30:25", 22, 7, reader="one")
    assert not under_way.is_within(Position("here", "balances", "10:20:", reader="one"))
    assert under_way.is_within(Position("here", "balances", "25:30:25", reader="one"))
