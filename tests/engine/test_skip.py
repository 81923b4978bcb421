"""A bonus server does without purged rows, by changeset and for good."""

import pytest

from tests.causes import raises
from tests.databases import query
from tests.engine.keeping_small import accounts, age, lines, move_from, purge
from tests.flow import Flow, known_of
from transfer.causes.ledger import ROWS_PURGED, SKIP_OUTDATED
from transfer.engine.received import NOTHING
from transfer.engine.skip import lacking, skip


@pytest.fixture
def flow(shop_all, bonus):
    return Flow("balances", shop_all, bonus)


def listed(flow):
    with flow.open() as (source, target), source.snapshot():
        position = target.positions.get(source.identity.origin(), flow.spec)
        return [*lacking(flow.spec, source, target, position)]


def do_without(flow, *names):
    with flow.open() as (source, target):
        with source.snapshot():
            origin = source.identity.origin()
        skip(flow.spec, source, target, origin, names)


def lose_to_a_purge(flow, copies):
    """A server that was restored, and needs rows that were purged since."""
    flow.stage(("a", 1))
    flow.move()
    copies.make(flow.bonus, "bonus")
    flow.stage(("b", 1), ("c", 2))
    flow.stage(("d", 4))
    flow.move()
    age(flow)
    purge(flow, known_of(flow))
    copies.restore(flow.bonus, "bonus")
    flow.stage(("e", 8))


def test_the_list_is_exact_and_what_is_skipped_is_passed(flow, copies):
    lose_to_a_purge(flow, copies)
    with raises(ROWS_PURGED):
        flow.move()
    found = listed(flow)
    assert [(one.number, one.rows, one.amount, one.last) for one in found] == [
        (2, 2, 3, NOTHING),
        (3, 1, 4, NOTHING),
    ]
    before = flow.position().version
    do_without(flow, *(one.changeset for one in found))
    assert flow.position().version != before  # a chunk that was read ahead is not used
    assert listed(flow) == []
    flow.move()
    assert accounts(flow) == ["a", "e"]


def test_a_server_that_had_what_was_purged_goes_on_without_a_question(flow, copies):
    flow.stage(("a", 1))
    flow.move()
    copies.make(flow.bonus, "bonus")
    age(flow)
    assert purge(flow, known_of(flow)).rows == 1
    flow.stage(("b", 1))
    flow.move()
    copies.restore(flow.bonus, "bonus")
    flow.move()
    assert accounts(flow) == ["a", "b"]


def test_a_part_of_the_list_can_be_skipped_and_nothing_beside_it(flow, copies):
    lose_to_a_purge(flow, copies)
    first, second = (one.changeset for one in listed(flow))
    do_without(flow, second)
    with raises(ROWS_PURGED) as refused:
        flow.move()
    assert refused.value.changesets == (first,)
    (last,) = [name for number, name in lines(flow, "number, changeset::text") if number == 1]
    for strange in (last, second):
        with raises(SKIP_OUTDATED):
            do_without(flow, first, strange)
    assert len(listed(flow)) == 1


def test_skipped_rows_do_not_come_back_by_a_restore(flow, copies):
    """skipped_by_number: their numbers belong to others then."""
    flow.stage(("a", 1))
    flow.move()
    copies.make(flow.bonus, "bonus")
    flow.stage(("b", 1))
    with flow.open() as (source, _):
        source.log_writer.append(flow.spec)
    copies.make(flow.shop_all, "shop")
    flow.stage(("c", 1))
    flow.move()
    query(flow.shop_all, "update datatransfer.log set purged = rows where number > 1")
    copies.restore(flow.bonus, "bonus")
    do_without(flow, *(one.changeset for one in listed(flow)))
    flow.move()
    copies.restore(flow.shop_all, "shop")
    flow.stage(("d", 1))
    flow.stage(("e", 1))
    flow.move()
    assert accounts(flow) == ["a", "d", "e"]


def test_the_rest_of_a_changeset_read_in_part_can_be_skipped(flow, copies):
    flow.stage(("a", 1), ("b", 1), ("c", 1))
    next(move_from(flow, chunk_rows=2))
    copies.make(flow.bonus, "bonus")
    flow.move()
    age(flow)
    purge(flow, known_of(flow))
    copies.restore(flow.bonus, "bonus")
    with raises(ROWS_PURGED):
        flow.move()
    (one,) = listed(flow)
    do_without(flow, one.changeset)
    flow.stage(("d", 1))
    flow.move()
    assert accounts(flow) == ["a", "b", "d"]
    known = query(flow.bonus, "select last, skipped from datatransfer.exception")
    assert known == [(one.last, True)]
