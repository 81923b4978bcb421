"""Loads are taken back in shop All: what is withdrawn, and what is staged."""

from tests.causes import raises
from tests.databases import query
from tests.engine.operations import correct, load, named, set_values, shop_of, undo
from tests.flow import Flow
from transfer.causes.loads import (
    LOAD_CORRECTS,
    LOAD_IS_UNDO,
    LOAD_LOST,
    LOAD_ROWS_MISSING,
    ROWS_NOT_REPEATABLE,
)
from transfer.engine.shop_all.undo import undo_again

TABLE = '"changeAccountBalanceTemp"'


def staged(flow):
    return query(flow.shop_all, f"select account, amount, comment from {TABLE} order by id")


def withdrawn(flow):
    rows = query(
        flow.shop_all,
        "select changeset::text from datatransfer.log where withdrawn order by number",
    )
    return [name for (name,) in rows]


def test_each_row_gets_its_opposite_once(flow):
    name = load(flow, ("a", 1, None, None, "bonus"), ("b", -2))
    done = undo(flow, name)
    assert (done.rows, done.amount, done.is_new) == (2, 1, True)
    assert staged(flow)[2:] == [("a", -1, "undone"), ("b", 2, "undone")]
    again = undo(flow, name)
    assert (again.changeset, again.rows, again.is_new) == (done.changeset, 2, False)
    assert len(staged(flow)) == 4
    assert withdrawn(flow) == [name]


def test_a_row_is_taken_back_with_the_values_that_it_was_staged_with(flow):
    name = load(flow, ("a", 1, None, None, "bonus"), ("b", 2))
    set_values(flow, "a", amount=7, account="c")
    done = undo(flow, name)
    assert done.amount == -3
    assert sorted(staged(flow)[2:]) == [("a", -1, "undone"), ("b", -2, "undone")]
    firsts = query(flow.shop_all, 'select first from datatransfer.dependent order by "row"')
    assert firsts == [(1,), (2,)]


def test_what_can_not_be_taken_back_is_refused_and_nothing_is_changed(flow, copies):
    copies.make(flow.shop_all, "empty")
    name = load(flow, ("a", 1))
    flow.stage(("x y", 1))
    flow.move()
    undone = undo(flow, name)
    with raises(LOAD_IS_UNDO):
        undo(flow, undone.changeset)
    with raises(LOAD_LOST):
        undo(flow, named(flow, "x y")[0])
    lacking = load(flow, ("b", 1), ("c", 2))
    query(flow.shop_all, f"delete from {TABLE} where account = 'c'")
    with raises(LOAD_ROWS_MISSING):
        undo(flow, lacking)
    corrects = load_of_corrections(flow, named(flow, "x y"))
    with raises(LOAD_CORRECTS):
        undo(flow, corrects)
    kept = load(flow, ("d", 1))
    query(flow.shop_all, f"create unique index on {TABLE} (account, amount, comment)")
    with raises(ROWS_NOT_REPEATABLE):
        undo(flow, kept)
    assert withdrawn(flow) == [name]


def load_of_corrections(flow, original):
    """A file that corrects this row; returns the changeset."""
    staged = correct(flow, (original, {"account": "xy"}))
    query(
        flow.shop_all,
        "insert into datatransfer.load (changeset, kind, xid, started, rows)"
        " select changeset, kind, xid, started, rows from datatransfer.log where changeset = %s",
        [staged.changeset],
    )
    return staged.changeset


def test_pin_codes_are_withdrawn_only_with_what_corrects_nothing_else(shop_all, bonus):
    flow = Flow("pincodes", shop_all, bonus)
    first, second = load(flow, ("a", "1"), ("b", "2")), load(flow, ("c", "3"))
    flow.move()
    of_first = correct(flow, ((first, 1), {"pincode": "4"}))
    correct(flow, ((first, 2), {"pincode": "5"}), ((second, 1), {"pincode": "6"}))
    done = undo(flow, first)
    assert (done.rows, undo(flow, first).is_new) == (0, False)
    assert withdrawn(flow) == [first, of_first.changeset]
    assert query(shop_all, 'select count(*) from "accountpincodeTemp"') == [(6,)]


def test_undos_that_shop_all_lost_are_staged_again(flow, copies):
    kept = load(flow, ("a", 1))
    flow.move()
    copies.make(flow.shop_all, "before")
    lost = load(flow, ("b", 1))
    undo(flow, kept), undo(flow, lost)
    copies.restore(flow.shop_all, "before")
    with shop_of(flow) as shop_all:
        done, refused = undo_again(shop_all, flow.spec, [kept, lost], "undone", "tests")
    assert [one.is_new for one in done] == [True]
    assert [*refused] == [lost]
    assert refused[lost].cause is LOAD_LOST
