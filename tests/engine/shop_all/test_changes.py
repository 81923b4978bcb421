"""Rows that were changed in place are listed, sent or left."""

from tests.causes import raises
from tests.databases import query
from tests.engine.operations import (
    changed,
    correct,
    leave_changes,
    load,
    named,
    send_changes,
    set_values,
    shop_of,
    sums,
    undo,
)
from tests.flow import Flow
from transfer.causes.loads import CHANGE_NOT_SENDABLE, CHANGES_MOVED, ROWS_NOT_REPEATABLE
from transfer.engine.shop_all.changes import Changes


def test_a_changed_amount_is_listed_until_it_is_sent_or_left(flow):
    flow.stage(("a", 1), ("b", 2))
    set_values(flow, "a", amount=5)
    assert changed(flow) == []  # no server can have read it: it is not in the log
    flow.move()
    (row,) = changed(flow)
    assert (row.changeset, row.row) == named(flow, "a")
    assert (row.payload["amount"], row.before, row.reason) == ("5", "1", "")
    assert leave_changes(flow) == 1
    assert changed(flow) == []
    set_values(flow, "a", amount=6)
    assert [one.payload["amount"] for one in changed(flow)] == ["6"]
    assert send_changes(flow) == 1
    assert changed(flow) == []
    set_values(flow, "a", amount=6, comment="again")
    assert changed(flow) == []
    set_values(flow, "a", amount=1)
    assert [one.before for one in changed(flow)] == ["6"]
    flow.move()
    assert sums(flow) == {"a": 6, "b": 2}


def test_an_amount_that_was_changed_and_changed_back_may_have_been_read_in_between(flow):
    flow.stage(("a", 1))
    set_values(flow, "a", amount=5)
    flow.move()
    set_values(flow, "a", amount=1)
    assert len(changed(flow)) == 1
    send_changes(flow)
    flow.move()
    assert sums(flow) == {"a": 1}


def test_why_a_change_can_not_be_sent_is_said(flow):
    flow.stage(("a", 1), ("b", 2), ("c d", 3), ("e", 4), ("f", 5))
    flow.move()
    correct(flow, (named(flow, "c d"), {"account": "cd"}))
    set_values(flow, "a", account="x")
    set_values(flow, "b", validto="2030-01-01 00:00+00")
    set_values(flow, "cd", amount=4)
    set_values(flow, "e", amount="0.001")
    set_values(flow, "f", comment="not a question")
    rows = changed(flow)
    assert {one.payload["account"]: one.reason for one in rows} == {
        "x": "account_changed",
        "b": "validity_changed",
        "cd": "dependent",
        "e": "invalid",
    }
    with raises(CHANGE_NOT_SENDABLE):
        send_changes(flow)
    assert leave_changes(flow) == 4
    assert changed(flow) == []


def test_an_amount_is_set_where_it_was_staged_though_the_validity_has_changed(flow):
    flow.stage(("a", 1, None, "2029-01-01 00:00+00"))
    flow.move()
    set_values(flow, "a", amount=3, validto="2030-01-01 00:00+00")
    assert send_changes(flow) == 1
    flow.move()
    assert query(flow.bonus, "select amount, extract(year from validto) from asset") == [
        (1, 2029),
        (2, 2029),
    ]


def test_what_was_changed_again_since_it_was_listed_is_not_decided(flow):
    flow.stage(("a", 1))
    flow.move()
    set_values(flow, "a", amount=2)
    rows = changed(flow)
    set_values(flow, "a", amount=3)
    with raises(CHANGES_MOVED):
        send_changes(flow, rows)
    with raises(CHANGES_MOVED):
        leave_changes(flow, rows)
    rows = changed(flow)
    assert send_changes(flow, rows) == 1
    with raises(CHANGES_MOVED):
        send_changes(flow, rows)


def test_rows_of_a_load_that_was_taken_back_are_no_question(flow):
    name = load(flow, ("a", 1))
    flow.move()
    set_values(flow, "a", amount=2)
    undo(flow, name)
    assert changed(flow) == []


def test_rows_of_lines_that_no_server_has_read_are_left_out(flow):
    flow.stage(("a", 1))
    flow.stage(("b", 1))
    flow.move()
    set_values(flow, "a", amount=2)
    set_values(flow, "b", amount=2)
    with shop_of(flow) as shop_all, shop_all.database.transaction(commit=False):
        changes = Changes(shop_all)
        assert changes.count(flow.spec) == 2
        assert changes.count(flow.spec, up_to=1) == 1
        assert [one.payload["account"] for one in changes.rows(flow.spec, 9, up_to=1)] == ["a"]


def test_where_values_are_unique_no_change_is_sent(flow):
    """F7: the page says so, instead of failing."""
    flow.stage(("a", 1))
    flow.move()
    query(flow.shop_all, 'create unique index on "changeAccountBalanceTemp" (account)')
    set_values(flow, "a", amount=2)
    with raises(ROWS_NOT_REPEATABLE):
        send_changes(flow)


def test_pin_codes_are_staged_again_as_they_are_now(shop_all, bonus, second_bonus):
    flow, other = Flow("pincodes", shop_all, bonus), Flow("pincodes", shop_all, second_bonus)
    flow.stage(("a", "1111"), ("b", "2222"))
    flow.move()
    query(shop_all, "update \"accountpincodeTemp\" set pincode = '3333' where account = 'a'")
    (row,) = changed(flow)
    assert (row.payload["pincode"], row.before, row.reason) == ("••••", None, "")
    assert send_changes(flow) == 1
    assert changed(flow) == []
    flow.move(), other.move()
    assert flow.target_rows() == other.target_rows() == [("a", "3333"), ("b", "2222")]
    query(shop_all, "update \"accountpincodeTemp\" set pincode = '4444' where account = 'a'")
    assert leave_changes(flow, changed(flow)[:1]) == 1
