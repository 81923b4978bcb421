"""Shop All is restored, and transfers go on."""

import pytest

from tests.databases import query
from tests.flow import INSTALLATION, Flow
from transfer.engine.kinds import BALANCES
from transfer.errors import ShopAllWentBack


def accounts(flow):
    return [row[0] for row in flow.target_rows()]


def confirm(flow):
    with flow.open() as (source, _), source.database.transaction():
        source.log_writer.confirm(BALANCES, INSTALLATION)


def test_rows_written_after_a_restore_arrive_and_none_twice(shop_all, bonus, copies):
    flow = Flow("balances", shop_all, bonus)
    flow.stage(("before", 1))
    flow.move()
    copies.make(shop_all, "shop")
    flow.stage(("lost", 1))
    flow.move()
    copies.restore(shop_all, "shop")
    flow.stage(("after", 1))
    flow.stage(("later", 1))
    with pytest.raises(ShopAllWentBack) as asked:
        flow.move()
    assert len(asked.value.changesets) == 1
    assert accounts(flow) == ["before", "lost"]
    confirm(flow)
    flow.move(chunk_rows=1)
    assert accounts(flow) == ["after", "before", "later", "lost"]
    assert flow.move() == []


def test_a_restore_that_loses_nothing_is_not_asked_about(shop_all, bonus, copies):
    flow = Flow("balances", shop_all, bonus)
    flow.stage(("a", 1))
    copies.make(shop_all, "shop")
    flow.move()
    copies.restore(shop_all, "shop")
    flow.stage(("b", 1))
    flow.move()
    assert accounts(flow) == ["a", "b"]


def test_a_server_that_goes_back_gets_its_rows_again(shop_all, bonus, copies):
    flow = Flow("balances", shop_all, bonus)
    flow.stage(("a", 1))
    flow.move()
    copies.make(bonus, "bonus")
    flow.stage(("b", 1), ("c", 1), ("d", 1))
    flow.move(chunk_rows=2)
    copies.restore(bonus, "bonus")
    assert accounts(flow) == ["a"]
    flow.move()
    assert accounts(flow) == ["a", "b", "c", "d"]


def test_a_changeset_read_in_part_is_read_to_its_end_after_a_restore(shop_all, bonus, copies):
    flow = Flow("balances", shop_all, bonus)
    flow.stage(("z", 1))
    flow.move()
    flow.stage(*((f"a{n}", 1) for n in range(5)))
    copies.make(shop_all, "shop")  # the rows are there, their line is not
    with flow.open() as (source, target):
        from transfer.engine.move.transfer import transfer

        position = flow.prepare(source, target)
        next(
            transfer(
                BALANCES,
                source,
                target,
                position.origin,
                flow.knowledge,
                chunk_rows=2,
                dry_run=False,
            )
        )
    assert len(accounts(flow)) == 3
    copies.restore(shop_all, "shop")
    flow.stage(("new", 1))
    flow.move(chunk_rows=2)
    assert accounts(flow) == ["a0", "a1", "a2", "a3", "a4", "new", "z"]


def test_our_own_history_asks_before_anything_is_moved(shop_all, bonus, copies):
    flow = Flow("balances", shop_all, bonus)
    flow.stage(("a", 1))
    flow.move()
    copies.make(shop_all, "shop")
    flow.stage(("lost", 1))
    with flow.open() as (source, _target):  # nothing has read it, but our history has seen it
        source.log_writer.append(BALANCES)
        with source.snapshot():
            seen = {(source.identity.origin(), "balances"): source.log.end(BALANCES)}
    copies.restore(shop_all, "shop")
    flow.knowledge = type(flow.knowledge)(INSTALLATION, seen, {})
    flow.stage(("b", 1))
    with pytest.raises(ShopAllWentBack):
        flow.move()
    assert accounts(flow) == ["a"]


def test_to_and_fro_between_two_copies_moves_each_row_once(shop_all, bonus, copies):
    flow = Flow("balances", shop_all, bonus)
    flow.stage(("a", 1))
    flow.move()
    copies.make(shop_all, "one")
    flow.stage(("b", 1))
    flow.move()
    copies.make(shop_all, "two")
    copies.restore(shop_all, "one")
    flow.stage(("c", 1))
    confirm(flow)
    flow.move()
    copies.restore(shop_all, "two")
    flow.stage(("d", 1))
    with pytest.raises(ShopAllWentBack):
        flow.move()
    confirm(flow)
    flow.move()
    assert accounts(flow) == ["a", "b", "c", "d"]
    assert query(bonus, "select count(*) from datatransfer.exception") == [(1,)]
