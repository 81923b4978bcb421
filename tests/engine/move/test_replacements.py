"""A row that replaces a rejected one lands exactly at those servers that rejected the other."""

import pytest

from tests.databases import query
from tests.flow import Flow, purge
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kinds import KINDS
from transfer.engine.restore.renumber_after_restore import renumber_after_restore
from transfer.engine.restore.requested_position import Request
from transfer.engine.restore.set_position import set_position
from transfer.engine.shop_all.source import ShopAll

SMALL = "alter table asset add constraint small check (amount < 100)"
TINY = "alter table asset add constraint tiny check (amount < 50)"
ANY = "alter table asset drop constraint if exists small, drop constraint if exists tiny"


@pytest.fixture
def first(flow):
    """A server that takes every amount."""
    return flow("balances")


@pytest.fixture
def second(first, second_bonus):
    """A server that takes amounts below 100."""
    query(second_bonus, SMALL)
    return Flow("balances", first.shop_all, second_bonus)


def replace(flow, number, amount):
    """Stages a row in place of the rejected row `number`, as a resend does; returns its number."""
    flow.stage(("1", amount))
    ((new,),) = query(
        flow.shop_all,
        "insert into datatransfer.resent (origin, kind, old_id, new_id, new_xid, where_rejected) "
        "select origin, 'balances', %s, row.id, row.xid, true "
        'from datatransfer.origin, "changeAccountBalanceTemp" as row order by id desc limit 1 '
        "returning new_id",
        [number],
    )
    return new


def send_uncertain(flow, number):
    """Notes, as a resend does, that the server's uncertain reject of a row is sent again."""
    ((token,),) = query(
        flow.bonus,
        "select token from datatransfer.reject "
        "where staging_id = %s and code = 'not_for_this_server'",
        [number],
    )
    query(flow.shop_all, "insert into datatransfer.resent_reject (token) values (%s)", [token])


def amounts(flow):
    return [int(row[1]) for row in flow.target_rows()]


@pytest.mark.parametrize("numbered_anew", [False, True])
def test_it_does_not_land_where_the_other_was_accepted(first, second, numbered_anew):
    first.stage(("1", 100))
    first.move()
    second.move()
    assert (amounts(first), amounts(second)) == ([100], [])
    replace(first, 1, 99)
    if numbered_anew:
        query(first.shop_all, "update datatransfer.origin set xid = xid")
        with (
            ShopAll(first.shop_all, "rebase") as source,
            BonusDatabase(first.bonus, "first", "rebase") as one,
            BonusDatabase(second.bonus, "second", "rebase") as other,
        ):
            renumber_after_restore(source, [one, other], KINDS.values())
    assert first.move().codes == ["accepted_before"]
    assert second.move().codes == []
    assert (amounts(first), amounts(second)) == ([100], [99])


@pytest.mark.parametrize("chunk_rows", [1, 2, 50])
def test_a_server_that_meets_both_at_once_gets_one_of_them(first, second, chunk_rows):
    first.stage(("1", 100), ("1", 7))
    replace(first, 1, 99)
    assert second.move(chunk_rows).codes == ["refused_by_server"]
    assert first.move(chunk_rows).codes == ["accepted_before"]
    assert (amounts(first), amounts(second)) == ([7, 100], [7, 99])
    totals = second.position().totals
    assert (totals.applied, totals.amount_applied) == (2, 106)


@pytest.mark.parametrize("chunk_rows", [1, 2, 50])
def test_a_replacement_of_a_replacement_lands_where_that_was_rejected(first, second, chunk_rows):
    query(second.bonus, f"{ANY}; {TINY}")
    first.stage(("1", 100))
    once = replace(first, 1, 60)
    replace(first, once, 40)
    second.move(chunk_rows)
    first.move(chunk_rows)
    assert [one.code for one in second.rejects()] == ["refused_by_server"] * 2
    assert [one.code for one in first.rejects()] == ["accepted_before"] * 2
    assert (amounts(first), amounts(second)) == ([100], [40])


def test_a_replacement_that_a_check_rejects_is_replaced_in_the_same_chunk(first, second):
    first.stage(("1", 100))
    once = replace(first, 1, 0)
    replace(first, once, 40)
    assert second.move().codes == ["refused_by_server", "amount_zero"]
    assert amounts(second) == [40]


def test_a_server_that_never_saw_the_other_gets_the_replacement(first, second):
    first.stage(("1", 100))
    first.move()
    query(
        first.shop_all,
        "update \"changeAccountBalanceTemp\" set created_at = now() - '90 d'::interval",
    )
    replace(first, 1, 99)
    assert purge(first.shop_all, "balances", [first.position()])[0] == 1
    first.stage(*[("1", 1)] * 2)
    assert first.move().codes == ["accepted_before"]
    assert second.move(chunk_rows=2).codes == []
    assert (amounts(first), amounts(second)) == ([1, 1, 100], [1, 1, 99])


OLD = """
    update "changeAccountBalanceTemp" set created_at = now() - interval '90 d' where amount = 100
"""


def give_up_purged_rows(flow):
    with flow.open() as (source, target):
        request = Request(accept_purged=True)
        set_position(KINDS["balances"], source, target, request, flow.readers(source))


def test_a_server_that_gave_up_the_purged_original_asks_before_it_takes_the_replacement(
    first, second
):
    first.stage(("8", 8))
    first.move()
    first.stage(("1", 100))
    second.move()
    once = replace(first, 2, 60)
    query(first.shop_all, OLD)
    assert purge(first.shop_all, "balances", [second.position()])[0] == 1
    give_up_purged_rows(first)
    assert first.move().codes == ["not_for_this_server"]
    assert (amounts(first), amounts(second)) == ([8], [8])
    second.move()
    again = replace(first, once, 61)
    assert first.move().codes == ["not_for_this_server"]
    replace(first, again, 62)
    send_uncertain(first, again)
    assert first.move().codes == []
    assert second.move().codes == ["accepted_before"] * 2
    assert (amounts(first), amounts(second)) == ([62, 8], [60, 8])


@pytest.mark.parametrize("chunk_rows", [1, 2, 50])
def test_so_it_does_with_what_replaces_the_replacement_in_the_same_batch(first, second, chunk_rows):
    query(second.bonus, f"{ANY}; {TINY}")
    first.stage(("8", 8))
    first.move()
    first.stage(("1", 100))
    second.move()
    once = replace(first, 2, 60)
    second.move()
    replace(first, once, 40)
    query(first.shop_all, OLD)
    assert purge(first.shop_all, "balances", [second.position()])[0] == 1
    give_up_purged_rows(first)
    first.move(chunk_rows)
    assert [one.code for one in first.rejects()] == ["not_for_this_server"] * 2
    assert amounts(first) == [8]
    second.move()
    assert amounts(second) == [40, 8]


@pytest.mark.parametrize("chunk_rows", [1, 50])
def test_a_check_that_rejects_a_replacement_does_not_open_the_way_where_the_other_was_accepted(
    first, second, chunk_rows
):
    """As where head office has changed the row meanwhile."""
    first.stage(("1", 100))
    once = replace(first, 1, 0)
    replace(first, once, 40)
    first.move(chunk_rows)
    second.move(chunk_rows)
    assert (amounts(first), amounts(second)) == ([100], [40])
