"""A row that takes back another lands exactly at those servers that have accepted the other."""

import pytest

from tests.databases import query
from tests.engine.undoing import load, take_back
from tests.flow import Flow, purge
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kinds import KINDS
from transfer.engine.restore.renumber_after_restore import renumber_after_restore
from transfer.engine.restore.requested_position import Request
from transfer.engine.restore.set_position import set_position
from transfer.engine.shop_all.source import ShopAll

TABLE = '"changeAccountBalanceTemp"'
SMALL = "alter table asset add constraint small check (amount < 100)"
NO_DEBT = "alter table asset add constraint no_debt check (amount > 0)"
ANY = "alter table asset drop constraint if exists small, drop constraint if exists no_debt"
OLD = f"update {TABLE} set created_at = now() - interval '40 d'"


@pytest.fixture
def first(flow):
    """A server that takes every amount."""
    return flow("balances")


@pytest.fixture
def second(first, second_bonus):
    """A server that takes amounts below 100."""
    query(second_bonus, SMALL)
    return Flow("balances", first.shop_all, second_bonus)


def amounts(flow):
    return sorted(int(row[1]) for row in flow.target_rows())


def codes(flow):
    return [one.code for one in flow.rejects()]


def rebase(*flows):
    """Of a dump that was restored."""
    query(flows[0].shop_all, "update datatransfer.origin set xid = xid")
    with (
        ShopAll(flows[0].shop_all, "rebase") as source,
        BonusDatabase(flows[0].bonus, "first", "rebase") as one,
        BonusDatabase(flows[-1].bonus, "other", "rebase") as other,
    ):
        renumber_after_restore(source, [one, other], KINDS.values())


@pytest.mark.parametrize("renumbered", [False, True])
def test_it_lands_where_the_other_was_accepted_and_nowhere_else(first, second, renumbered):
    token = load(first, ("1", 100), ("2", 7))
    first.move()
    second.move()
    assert (amounts(first), amounts(second)) == ([7, 100], [7])
    assert take_back(first, token).rows == 2
    if renumbered:
        rebase(first, second)
    assert first.move().codes == []
    assert second.move().codes == ["nothing_to_take_back"]
    assert (amounts(first), amounts(second)) == ([-100, -7, 7, 100], [-7, 7])
    assert second.position().totals.amount_rejected == 0  # 100 and -100


@pytest.mark.parametrize("chunk_rows", [1, 2, 3, 50])
def test_a_server_that_meets_both_in_any_chunk_keeps_nothing(first, second, chunk_rows):
    token = load(first, ("1", 100), ("2", 7), ("3", 100))
    take_back(first, token)
    first.move(chunk_rows)
    second.move(chunk_rows)
    assert (amounts(first), amounts(second)) == ([-100, -100, -7, 7, 100, 100], [-7, 7])
    assert codes(first) == []
    assert sorted(codes(second)) == ["nothing_to_take_back"] * 2 + ["refused_by_server"] * 2


@pytest.mark.parametrize("chunk_rows", [1, 2, 50])
def test_a_server_that_is_in_the_middle_of_the_file_takes_back_all_of_it(first, chunk_rows):
    token = load(first, ("1", 1), ("2", 2), ("3", 3))
    first.move_one(2)
    take_back(first, token)
    first.move(chunk_rows)
    assert (amounts(first), codes(first)) == ([-3, -2, -1, 1, 2, 3], [])


@pytest.mark.parametrize("renumbered", [False, True])
def test_the_original_may_be_purged_before_its_opposite_is_read(first, second, renumbered):
    token = load(first, ("1", 100), ("2", 7))
    first.move()
    second.move()
    query(first.shop_all, OLD)
    take_back(first, token)
    assert purge(first.shop_all, "balances", [first.position(), second.position()])[0] == 2
    if renumbered:
        rebase(first, second)
    first.move()
    second.move()
    assert (amounts(first), amounts(second)) == ([-100, -7, 7, 100], [-7, 7])
    assert codes(second) == ["refused_by_server", "nothing_to_take_back"]


def test_a_server_that_is_docked_after_a_purge_of_the_original_takes_nothing_back(first, second):
    token = load(first, ("1", 1))
    first.move()
    query(first.shop_all, OLD)
    take_back(first, token)
    first.move()
    assert purge(first.shop_all, "balances", [first.position()])[0] == 1
    first.stage(("9", 9), ("9", 9))
    second.move(chunk_rows=2)
    assert (amounts(second), codes(second)) == ([9, 9], ["nothing_to_take_back"])


def test_what_was_sent_in_place_of_a_rejected_row_is_taken_back_as_well(first, second):
    token = load(first, ("1", 100))
    second.move()
    replace(first, 1, 60)
    second.move()
    first.move()
    assert (amounts(first), amounts(second)) == ([100], [60])
    assert take_back(first, token).rows == 2
    assert first.move().codes == ["nothing_to_take_back"]
    assert second.move().codes == ["nothing_to_take_back"]
    assert (amounts(first), amounts(second)) == ([-100, 100], [-60, 60])


@pytest.mark.parametrize("chunk_rows", [1, 2, 50])
def test_all_of_them_may_be_met_at_once(first, second, chunk_rows):
    token = load(first, ("1", 100))
    replace(first, 1, 60)
    take_back(first, token)
    first.move(chunk_rows)
    second.move(chunk_rows)
    assert (amounts(first), amounts(second)) == ([-100, 100], [-60, 60])
    assert codes(first) == ["accepted_before", "nothing_to_take_back"]
    assert codes(second) == ["refused_by_server", "nothing_to_take_back"]


def test_an_opposite_row_that_the_server_refuses_is_corrected_like_any_other(first, second):
    token = load(first, ("1", 100), ("2", 7))
    first.move()
    second.move()
    query(second.bonus, f"{ANY}; {NO_DEBT} not valid")
    take_back(first, token)
    first.move()
    assert sorted(second.move().codes) == ["nothing_to_take_back", "refused_by_server"]
    query(second.bonus, ANY)
    for one in (3, 4):  # the rows of the opposite amounts
        replace(first, one, -5)
    assert first.move().codes == ["accepted_before"] * 2
    assert second.move().codes == ["accepted_before"]
    assert (amounts(first), amounts(second)) == ([-100, -7, 7, 100], [-5, 7])


def test_a_server_that_reads_a_value_changed_since_is_asked_about(first, second):
    token = load(first, ("1", 5))
    first.move()
    take_back(first, token)
    query(first.shop_all, f"update {TABLE} set amount = 9 where id = 1")
    assert first.move().codes == []
    assert second.move().codes == ["not_for_this_server"]
    assert (amounts(first), amounts(second)) == ([-5, 5], [9])


def test_a_row_that_was_changed_before_is_left_out(first):
    token = load(first, ("1", 5), ("2", 6))
    first.move()
    query(first.shop_all, f"update {TABLE} set amount = 9 where id = 1")
    assert take_back(first, token).rows == 1
    first.move()
    assert amounts(first) == [-6, 5, 6]


def replace(flow, number, amount):
    """Stages a row in place of the rejected row `number`, as a resend does."""
    flow.stage(("1", amount))
    query(
        flow.shop_all,
        "insert into datatransfer.resent (origin, kind, old_id, new_id, new_xid, where_rejected) "
        f"select origin, 'balances', %s, row.id, row.xid, true from datatransfer.origin, {TABLE} "
        "as row order by id desc limit 1 returning new_id",
        [number],
    )


def test_a_server_that_gives_up_purged_rows_is_asked_about(first, second):
    """It has begun a batch that sees both rows of the load, and never gets the second one."""
    token = load(first, ("8", 8), ("1", 1))
    first.move()
    second.move_one(1)
    query(first.shop_all, OLD)
    take_back(first, token)
    purge(first.shop_all, "balances", [first.position()])
    with second.open() as (source, target):
        request = Request(accept_purged=True)
        set_position(KINDS["balances"], source, target, request, second.readers(source))
    second.move(1)
    assert amounts(second) == [8]
    assert codes(second) == ["not_for_this_server"] * 2


def test_a_server_that_does_not_know_whether_it_has_a_purged_original_says_so(first, second):
    """Its tables are a copy of another server's, made after the rows were renumbered."""
    token = load(first, ("1", 1))
    first.move()
    query(first.shop_all, OLD)
    take_back(first, token)
    assert purge(first.shop_all, "balances", [first.position()])[0] == 1
    rebase(first, second)
    copied = first.position()
    with second.open() as (source, target):
        known = second.readers(source)
        request = Request(batch=copied.number, reader=copied.reader)
        set_position(KINDS["balances"], source, target, request, known)
    assert second.move().codes == ["not_for_this_server"]
