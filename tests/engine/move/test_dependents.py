"""Rows that correct, take back or change another one, on servers with different pasts."""

import pytest

from tests.databases import query
from tests.engine.keeping_small import move_from
from tests.engine.operations import (
    accept,
    changed,
    confirm,
    correct,
    load,
    named,
    opened,
    refuse,
    rejects,
    send_changes,
    set_values,
    sums,
    undo,
)
from tests.flow import Flow
from transfer.errors import ShopAllWentBack


class Servers:
    """Two servers of one shop All. `one` and `two` are their flows."""

    def __init__(self, kind, shop_all, first, second):
        self.one, self.two = Flow(kind, shop_all, first), Flow(kind, shop_all, second)
        self.shop = shop_all

    def move(self, chunk_rows=50_000):
        for flow in (self.one, self.two):
            move(flow, chunk_rows)

    def sums(self):
        return sums(self.one), sums(self.two)

    def check(self):
        """The totals of each server are the sums of the log, without what it has not received."""
        for flow in (self.one, self.two):
            missed = query(
                flow.bonus, "select changeset::text from datatransfer.exception where last < 0"
            )
            ((rows, amount),) = query(
                self.shop,
                "select coalesce(sum(rows), 0), coalesce(sum(amount), 0) from datatransfer.log"
                " where number <= %s and not changeset::text = any(%s)",
                [flow.position().place.number, [name for (name,) in missed]],
            )
            totals = flow.position().totals
            assert (totals.read, totals.amount_applied + totals.amount_rejected) == (rows, amount)


def move(flow, chunk_rows=50_000):
    """A transfer; shop All is confirmed if that is asked."""
    try:
        flow.move(chunk_rows)
    except ShopAllWentBack:
        confirm(flow)
        flow.move(chunk_rows)
    assert flow.move(chunk_rows) == []


@pytest.fixture
def servers(shop_all, bonus, second_bonus):
    return Servers("balances", shop_all, bonus, second_bonus)


# Corrections


def test_a_correction_applies_where_the_reject_is_open_and_is_no_question_elsewhere(servers):
    refuse(servers.one, "account = 'a'")
    servers.one.stage(("a", 10))
    servers.move()
    original = named(servers.one, "a")
    assert opened(servers.one) == [original]
    assert opened(servers.two) == []
    staged = correct(servers.one, (original, {"account": "b"}))
    servers.move()
    assert servers.sums() == ({"b": 10}, {"a": 10})
    assert rejects(servers.one) == [(*original, "refused_by_server", False)]
    assert rejects(servers.two) == [(staged.changeset, 1, "not_here", False)]
    assert query(servers.two.bonus, "select payload from datatransfer.reject") == [(None,)]
    servers.check()


def test_the_correction_of_a_later_reject_applies_there_alone(servers):
    """F2: a correction that one of two rejecting servers has is lost; the other rejects later."""
    refuse(servers.one, "account = 'a'")
    refuse(servers.two, "account = 'a'")
    servers.one.stage(("a", 10))
    move(servers.one)
    original = named(servers.one, "a")
    correct(servers.one, (original, {"account": "b"}))
    move(servers.one)
    assert sums(servers.one) == {"b": 10}
    move(servers.two)  # rejects the original, and applies the correction
    correct(servers.one, (original, {"account": "c"}))
    servers.move()
    assert servers.sums() == ({"b": 10}, {"b": 10})
    servers.check()


def test_originals_of_several_changesets_are_decided_one_by_one(servers):
    refuse(servers.one, "account = 'a'")
    refuse(servers.two, "account = 'b'")
    servers.one.stage(("a", 1))
    servers.one.stage(("b", 2))
    servers.move()
    a, b = named(servers.one, "a"), named(servers.one, "b")
    correct(servers.one, (a, {"account": "c"}), (b, {"account": "d"}))
    servers.move()
    assert servers.sums() == ({"b": 2, "c": 1}, {"a": 1, "d": 2})
    servers.check()


def test_a_refused_correction_is_open_again_and_can_be_corrected(servers):
    refuse(servers.one, "account in ('a', 'b')")
    servers.one.stage(("a", 1))
    servers.move()
    first = correct(servers.one, (named(servers.one, "a"), {"account": "b"}))
    servers.move()
    assert opened(servers.one) == [(first.changeset, 1)]
    ((payload, effect),) = query(
        servers.one.bonus,
        "select payload ->> 'account', effect from datatransfer.reject where resolved_by is null",
    )
    assert (payload, effect) == ("b", "replaces")
    correct(servers.one, ((first.changeset, 1), {"account": "c"}))
    servers.move()
    assert opened(servers.one) == []
    assert servers.sums() == ({"c": 1}, {"a": 1})
    servers.check()


def test_a_correction_that_fails_a_check_is_not_staged(servers):
    servers.one.stage(("a b", 1))
    servers.move()
    assert correct(servers.one, (named(servers.one, "a b"), {"amount": "0"})).rows == 0


@pytest.mark.parametrize("chunk_rows", [1, 2, 50_000])
def test_a_server_that_is_behind_reads_original_correction_and_undo_in_turn(servers, chunk_rows):
    for server in (servers.one, servers.two):
        refuse(server, "account in ('a', 'c')")
    name = load(servers.one, ("a", 1), ("b", 2), ("c", 4))
    move(servers.one)
    correct(servers.one, ((name, 1), {"account": "ab"}), ((name, 3), {"account": "cd"}))
    move(servers.one)
    assert sums(servers.one) == {"ab": 1, "b": 2, "cd": 4}
    move(servers.two, chunk_rows)
    assert sums(servers.two) == {"ab": 1, "b": 2, "cd": 4}
    undo(servers.one, name)
    servers.move(chunk_rows)
    assert servers.sums() == ({}, {})
    servers.check()


# Undos


def test_an_undo_takes_back_what_was_read_and_withdraws_what_was_not(servers):
    name = load(servers.one, ("a", 1), ("b", 2))
    servers.one.stage(("c", 5))
    move(servers.one)
    assert undo(servers.one, name).rows == 2
    servers.move()
    assert servers.sums() == ({"c": 5}, {"c": 5})
    assert query(servers.two.bonus, "select account from asset") == [("c",)]
    assert opened(servers.one) == opened(servers.two) == []
    servers.check()


def test_an_undo_closes_open_rejects_of_its_load_and_of_its_corrections(servers):
    refuse(servers.one, "account in ('a', 'x', 'y')")
    name = load(servers.one, ("a", 1), ("b", 2), ("y", 3))
    servers.move()
    correct(servers.one, ((name, 1), {"account": "x"}))
    servers.move()
    assert len(opened(servers.one)) == 2
    undo(servers.one, name)
    servers.move()
    assert opened(servers.one) == opened(servers.two) == []
    assert servers.sums() == ({}, {})


def test_an_undo_that_one_server_alone_has_is_repeated_and_does_nothing_twice(servers, copies):
    """F4."""
    name = load(servers.one, ("a", 1), ("b", 2))
    servers.move()
    copies.make(servers.shop, "loaded")
    first = undo(servers.one, name)
    move(servers.one)
    copies.restore(servers.shop, "loaded")
    again = undo(servers.one, name)
    assert (again.changeset, again.is_new) == (first.changeset, True)
    assert undo(servers.one, name).is_new is False
    servers.move()
    assert servers.sums() == ({}, {})


def test_an_undo_takes_back_a_correction_that_shop_all_lost(servers, copies):
    refuse(servers.one, "account = 'a'")
    name = load(servers.one, ("a", 1), ("b", 2))
    servers.move()
    copies.make(servers.shop, "loaded")
    lost = correct(servers.one, ((name, 1), {"account": "x", "amount": 7}))
    move(servers.one)
    assert sums(servers.one) == {"b": 2, "x": 7}
    copies.restore(servers.shop, "loaded")
    undo(servers.one, name)
    servers.move()
    assert servers.sums() == ({}, {})
    codes = {(changeset, row): code for changeset, row, code, _ in rejects(servers.one)}
    assert codes[lost.changeset, 1] == codes[name, 1] == "taken_back"


def test_a_refused_correction_of_an_opposite_is_an_opposite_itself(servers):
    name = load(servers.one, ("a", 10))
    servers.move()
    refuse(servers.one, "amount < 0")
    undone = undo(servers.one, name)
    servers.move()
    first = correct(servers.one, ((undone.changeset, 1), {"comment": "again"}))
    servers.move()
    assert opened(servers.one) == [(first.changeset, 1)]
    accept(servers.one)
    correct(servers.one, ((first.changeset, 1), {"comment": "again"}))
    servers.move()
    assert servers.sums() == ({}, {})
    assert opened(servers.one) == []


# Changed amounts


def test_a_changed_amount_reaches_servers_that_have_read_it_before_and_after(servers):
    servers.one.stage(("a", 100), ("b", 1))
    move(servers.one)
    set_values(servers.one, "a", amount=150)
    move(servers.two)
    assert servers.sums() == ({"a": 100, "b": 1}, {"a": 150, "b": 1})
    assert send_changes(servers.one) == 1
    assert changed(servers.one) == []
    servers.move()
    assert servers.sums() == ({"a": 150, "b": 1}, {"a": 150, "b": 1})
    set_values(servers.one, "a", amount=0)
    assert send_changes(servers.one) == 1
    servers.move()
    assert servers.sums() == ({"b": 1}, {"b": 1})
    servers.check()


def test_a_change_that_one_server_had_and_shop_all_lost_is_decided_again(servers, copies):
    """F6."""
    servers.one.stage(("a", 100))
    servers.move()
    copies.make(servers.shop, "staged")
    set_values(servers.one, "a", amount=150)
    send_changes(servers.one)
    move(servers.one)
    copies.restore(servers.shop, "staged")
    set_values(servers.one, "a", amount=170)
    send_changes(servers.one)
    servers.move()
    assert servers.sums() == ({"a": 170}, {"a": 170})


def test_a_changed_amount_closes_the_open_reject_of_its_row(servers):
    refuse(servers.one, "amount = 100")
    servers.one.stage(("a", 100))
    servers.move()
    set_values(servers.one, "a", amount=150)
    send_changes(servers.one)
    servers.move()
    assert servers.sums() == ({"a": 150}, {"a": 150})
    assert opened(servers.one) == []
    servers.check()


def test_a_changed_amount_that_is_refused_leaves_the_reject_of_its_row_open(servers):
    refuse(servers.one, "account = 'a'")
    servers.one.stage(("a", 100))
    servers.move()
    original = named(servers.one, "a")
    set_values(servers.one, "a", amount=150)
    send_changes(servers.one)
    chunks = servers.one.move()
    assert chunks[-1].totals.rejected == 0
    assert opened(servers.one) == [original]
    correct(servers.one, (original, {"account": "b"}))
    servers.move()
    assert servers.sums() == ({"b": 150}, {"a": 150})
    servers.check()


def test_a_refused_change_is_open_until_the_next_one_is_applied(servers):
    servers.one.stage(("a", 100))
    servers.move()
    refuse(servers.one, "amount = 50")
    set_values(servers.one, "a", amount=150)
    send_changes(servers.one)
    servers.move()
    (refused,) = opened(servers.one)
    ((shown,),) = query(
        servers.one.bonus,
        "select payload ->> 'amount' from datatransfer.reject where resolved_by is null",
    )
    assert shown == "150"  # what it sets, not the difference
    assert correct(servers.one, (refused, {"amount": 1})).refused == {"row_sets_amount": 1}
    set_values(servers.one, "a", amount=160)
    send_changes(servers.one)
    servers.move()
    assert servers.sums() == ({"a": 160}, {"a": 160})
    assert opened(servers.one) == []
    servers.check()


def test_a_change_goes_where_a_correction_has_brought_the_amount(servers):
    refuse(servers.one, "account = 'a'")
    servers.one.stage(("a", 100))
    servers.move()
    correct(servers.one, (named(servers.one, "a"), {"account": "b", "amount": 90}))
    servers.move()
    set_values(servers.one, "a", amount=150)
    send_changes(servers.one, [one for one in changed(servers.one) if not one.reason])
    servers.move()
    assert servers.sums() == ({"b": 150}, {"a": 150})
    servers.check()


def test_an_undo_goes_where_the_amount_is_now(servers):
    refuse(servers.one, "account = 'a'")
    name = load(servers.one, ("a", 100))
    servers.move()
    correct(servers.one, ((name, 1), {"account": "b", "amount": 90}))
    servers.move()
    undo(servers.one, name)
    servers.move()
    assert servers.sums() == ({}, {})
    assert sorted(query(servers.one.bonus, "select account, amount from asset")) == [
        ("b", -90),
        ("b", 90),
    ]


def test_a_change_does_nothing_where_the_row_was_taken_back_or_discarded(servers):
    refuse(servers.one, "account = 'a'")
    servers.one.stage(("a", 100))
    servers.move()
    query(
        servers.one.bonus,
        "update datatransfer.reject set resolved_by = 'ffffffff-ffff-ffff-ffff-ffffffffffff'",
    )
    set_values(servers.one, "a", amount=150)
    accept(servers.one)
    send_changes(servers.one)
    servers.move()
    assert servers.sums() == ({}, {"a": 150})
    assert opened(servers.one) == []


def test_a_row_changed_before_it_is_read_is_taken_back_as_it_was_read(servers):
    name = load(servers.one, ("a", 100), ("b", 1))
    move(servers.one)
    set_values(servers.one, "a", amount=150, account="c")
    move(servers.two)
    assert servers.sums() == ({"a": 100, "b": 1}, {"b": 1, "c": 150})
    undo(servers.one, name)
    servers.move()
    assert servers.sums() == ({}, {})


# Restores that lose loads and corrections (ANCHORS, F1 to F4)


def test_a_load_that_one_server_alone_has_is_lost_and_loaded_again(servers, copies):
    """F1 and F3: it reaches the others, and none twice."""
    copies.make(servers.shop, "empty")
    name = load(servers.one, ("a", 1), ("b", 2), ("c", 4))
    servers.one.move(chunk_rows=2)
    copies.restore(servers.shop, "empty")
    assert load(servers.one, ("a", 1), ("b", 2), ("c", 4), first=9) == name
    servers.move()
    assert servers.sums() == ({"a": 1, "b": 2, "c": 4},) * 2


def test_a_change_follows_a_correction_that_shop_all_lost(servers, copies):
    refuse(servers.one, "account = 'a'")
    servers.one.stage(("a", 10))
    servers.move()
    copies.make(servers.shop, "staged")
    correct(servers.one, (named(servers.one, "a"), {"account": "b"}))
    move(servers.one)
    copies.restore(servers.shop, "staged")
    set_values(servers.one, "a", amount=25)
    send_changes(servers.one)
    servers.move()
    assert servers.sums() == ({"b": 25}, {"a": 25})


def test_a_load_that_was_taken_back_is_loaded_again_under_a_new_name(servers, copies):
    copies.make(servers.shop, "empty")
    name = load(servers.one, ("a", 1))
    move(servers.two)
    undo(servers.one, name)
    servers.move()
    copies.restore(servers.shop, "empty")
    assert load(servers.one, ("a", 1), taken_back=[name]) != name
    servers.move()
    assert servers.sums() == ({"a": 1}, {"a": 1})


def test_an_undo_in_parts_is_read_to_its_end(servers):
    rows = [(f"a{n}", n + 1) for n in range(10)]
    name = load(servers.one, *rows)
    servers.move()
    undo(servers.one, name)
    servers.move(chunk_rows=3)
    assert servers.sums() == ({}, {})
    servers.check()


def test_an_undo_of_a_load_that_was_read_in_part_takes_back_that_part(servers):
    name = load(servers.one, *((f"a{n}", 1) for n in range(5)))
    next(move_from(servers.one, chunk_rows=2))
    assert sum(sums(servers.one).values()) == 2
    undo(servers.one, name)
    servers.move()
    assert servers.sums() == ({}, {})
