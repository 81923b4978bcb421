"""Databases are restored, and transfers go on."""

import pytest

from tests.databases import query
from tests.engine.keeping_small import accounts, move_from
from tests.engine.operations import confirm
from transfer.errors import ShopAllWentBack


@pytest.fixture
def balances(flow):
    """Has moved a row."""
    balances = flow("balances")
    balances.stage(("a", 1))
    balances.move()
    return balances


def test_rows_written_after_a_restore_arrive_and_none_twice(balances, copies):
    copies.make(balances.shop_all, "shop")
    balances.stage(("lost", 1))
    balances.move()
    copies.restore(balances.shop_all, "shop")
    balances.stage(("after", 1))
    balances.stage(("later", 1))
    with pytest.raises(ShopAllWentBack) as asked:
        balances.move()
    assert len(asked.value.changesets) == 1
    assert accounts(balances) == ["a", "lost"]
    confirm(balances)
    balances.move(chunk_rows=1)
    assert accounts(balances) == ["a", "after", "later", "lost"]
    assert balances.move() == []


def test_a_restore_that_loses_nothing_is_not_asked_about(balances, copies):
    balances.stage(("b", 1))
    copies.make(balances.shop_all, "shop")
    balances.move()
    copies.restore(balances.shop_all, "shop")
    balances.stage(("c", 1))
    balances.move()
    assert accounts(balances) == ["a", "b", "c"]


def test_a_server_that_goes_back_gets_its_rows_again(balances, copies):
    copies.make(balances.bonus, "bonus")
    balances.stage(("b", 1), ("c", 1), ("d", 1))
    balances.move(chunk_rows=2)
    copies.restore(balances.bonus, "bonus")
    assert accounts(balances) == ["a"]
    balances.move()
    assert accounts(balances) == ["a", "b", "c", "d"]


def test_a_server_and_shop_all_that_go_back_differently_lose_nothing(balances, copies):
    """The server to before "b", shop All to before "lost": the server has nothing of it."""
    copies.make(balances.bonus, "bonus")
    balances.stage(("b", 1))
    balances.move()
    copies.make(balances.shop_all, "shop")
    balances.stage(("lost", 1))
    balances.move()
    copies.restore(balances.shop_all, "shop")
    copies.restore(balances.bonus, "bonus")
    balances.stage(("c", 1))
    balances.move()
    assert accounts(balances) == ["a", "b", "c"]


def test_a_changeset_read_in_part_is_read_to_its_end_after_a_restore(balances, copies):
    balances.stage(*((f"b{n}", 1) for n in range(5)))
    copies.make(balances.shop_all, "shop")  # the rows are there, their line is not
    next(move_from(balances, chunk_rows=2))
    assert len(accounts(balances)) == 3
    copies.restore(balances.shop_all, "shop")
    balances.stage(("new", 1))
    balances.move(chunk_rows=2)
    assert accounts(balances) == ["a", "b0", "b1", "b2", "b3", "b4", "new"]


def test_to_and_fro_between_two_copies_moves_each_row_once(balances, copies):
    copies.make(balances.shop_all, "one")
    balances.stage(("b", 1))
    balances.move()
    copies.make(balances.shop_all, "two")
    copies.restore(balances.shop_all, "one")
    balances.stage(("c", 1))
    confirm(balances)
    balances.move()
    copies.restore(balances.shop_all, "two")
    balances.stage(("d", 1))
    with pytest.raises(ShopAllWentBack):
        balances.move()
    confirm(balances)
    balances.move()
    assert accounts(balances) == ["a", "b", "c", "d"]
    assert query(balances.bonus, "select count(*) from datatransfer.exception") == [(1,)]
