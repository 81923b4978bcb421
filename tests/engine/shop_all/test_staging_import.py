"""Lines are staged as loads, and correct rejected rows."""

from decimal import Decimal

import pytest

from tests.causes import raises
from tests.databases import query
from tests.engine.operations import call, correct, line, load, named, rejects, shop_of, sums, undo
from tests.flow import Flow
from transfer.causes.loads import LOAD_KNOWN, ROWS_NOT_REPEATABLE
from transfer.engine.checks import Repair
from transfer.engine.shop_all.staging_import import StagingImport


def test_the_same_rows_have_the_same_digest_in_each_form(flow):
    digests = set()
    for first, rows in (
        (2, [("a", "10"), ("b", "-2.50")]),
        (7, [("a", "10.00"), ("b", "-2.5")]),
    ):
        with shop_of(flow) as shop_all, shop_all.database.transaction(commit=False):
            staged = StagingImport(shop_all, flow.spec)
            staged.receive(line(number, flow, row) for number, row in enumerate(rows, first))
            digests.add(staged.digest())
    assert len(digests) == 1


def test_rows_in_another_order_or_joined_otherwise_are_other_rows(flow):
    names = [load(flow, *rows) for rows in (
        [("a", 1), ("b", 2)],
        [("b", 2), ("a", 1)],
        [("a", 1, None, None, "b")],
        [("a", 1, None, None, "")],
    )]  # fmt: skip
    assert len(set(names)) == 4


def test_a_file_loaded_twice_has_another_name_and_counts_twice(flow):
    first, second = load(flow, ("a", 1)), load(flow, ("a", 1))
    assert first != second
    flow.move()
    assert sums(flow) == {"a": 2}


def test_a_key_of_the_api_is_used_once_whatever_rows_it_has(flow):
    assert call(flow, "key", ("a", 1))
    assert call(flow, "key", ("a", 2)) is None
    flow.move()
    assert sums(flow) == {"a": 1}
    with shop_of(flow) as shop_all, shop_all.database.transaction(commit=False):
        staged = StagingImport(shop_all, flow.spec)
        staged.receive(iter([line(1, flow, ("a", 3))]))
        name, used = shop_all.names.of_call(flow.spec, "key", b"other"), shop_all.names.call("key")
        with raises(LOAD_KNOWN):
            staged.stage("tests", name, call=used)
    assert query(flow.shop_all, 'select count(*) from "changeAccountBalanceTemp"') == [(1,)]


def test_a_name_is_no_uuid_that_could_be_guessed_from_its_rows(flow):
    pins = Flow("pincodes", flow.shop_all, flow.bonus)
    name = load(pins, ("a", "1234"))
    query(flow.shop_all, "update datatransfer.origin set name_key = sha256('other')")
    query(flow.shop_all, "delete from datatransfer.load")
    assert load(pins, ("a", "1234")) != name


def test_bad_lines_stay_beside_and_the_others_are_rows_1_2_3(flow):
    with shop_of(flow) as shop_all, shop_all.database.transaction():
        staged = StagingImport(shop_all, flow.spec)
        staged.receive(iter([line(5, flow, ("a", 1)), line(6, flow, ("", 1)),
                             line(9, flow, ("c", 3))]))  # fmt: skip
        assert staged.faults() == {"account_missing": 1}
        assert staged.payload(9)["account"] == "c"
        assert staged.stage("tests", "10000000-0000-0000-0000-000000000000") == 2
    staged_rows = query(
        flow.shop_all, 'select account, line from "changeAccountBalanceTemp" order by line'
    )
    assert staged_rows == [("a", 1), ("c", 2)]


def test_the_error_of_the_lines_is_raised(flow):
    def lines():
        yield line(1, flow, ("a", 1))
        raise ZeroDivisionError

    with shop_of(flow) as shop_all, pytest.raises(ZeroDivisionError):  # noqa: SIM117
        with shop_all.database.transaction():
            StagingImport(shop_all, flow.spec).receive(lines())


def test_a_correction_keeps_the_other_values_of_the_row_in_shop_all(flow):
    flow.stage(("a b", 7, None, None, "note"), ("ok", 1))
    flow.move()
    original = named(flow, "a b")
    staged = correct(flow, (original, {"account": "ab"}))
    assert staged.rows == 1
    flow.move()
    assert sums(flow) == {"ab": 7, "ok": 1}
    assert [(code, is_open) for _, _, code, is_open in rejects(flow)] == [
        ("account_has_spaces", False)
    ]


def test_a_repair_corrects_what_is_kept(flow):
    flow.stage(("a b", 1), ("b", "1.005"))
    flow.move()
    correct(flow, (named(flow, "a b"), {}), repair=Repair.SPACES)
    correct(flow, (named(flow, "b"), {}), repair=Repair.KOPECKS)
    flow.move()
    assert sums(flow) == {"ab": 1, "b": Decimal("1.01")}


def test_lines_that_may_not_correct_their_row_are_refused_by_name(flow, copies):
    copies.make(flow.shop_all, "empty")
    flow.stage(("a b", 1), ("c d", 1))
    flow.move()
    rows = [named(flow, "a b"), named(flow, "c d")]
    twice = correct(flow, (rows[0], {"account": "x"}), (rows[0], {"account": "y"}))
    assert (twice.rows, twice.refused) == (0, {"reject_twice": 2})
    query(flow.shop_all, 'delete from "changeAccountBalanceTemp" where account = %s', ["c d"])
    gone = correct(flow, (rows[1], {"account": "cd"}))
    assert gone.refused == {"row_gone": 1}
    whole = correct(flow, (rows[1], {"account": "cd", "amount": 1, "validfrom": None,
                                     "validto": None, "comment": None}))  # fmt: skip
    assert (whole.rows, whole.refused) == (1, {})
    copies.restore(flow.shop_all, "empty")
    lost = correct(flow, (rows[0], {"account": "x", "amount": 1, "validfrom": None,
                                    "validto": None, "comment": None}))  # fmt: skip
    assert lost.refused == {"row_lost": 1}


def test_a_row_of_a_load_that_was_taken_back_is_not_corrected(flow):
    name = load(flow, ("a", 1), ("b", 2))
    flow.move()
    first = correct(flow, ((name, 1), {"amount": 5}))  # of a row that no server has rejected
    undo(flow, name)
    assert correct(flow, ((name, 1), {"amount": 6})).refused == {"row_undone": 1}
    assert correct(flow, ((first.changeset, 1), {"amount": 6})).refused == {"row_undone": 1}


def test_where_values_are_unique_no_reject_is_corrected(flow):
    flow.stage(("a b", 1))
    flow.move()
    original = named(flow, "a b")
    query(flow.shop_all, 'create unique index on "changeAccountBalanceTemp" (account)')
    with raises(ROWS_NOT_REPEATABLE):
        correct(flow, (original, {"account": "ab"}))


def test_a_pin_code_is_kept_without_being_shown_and_reaches_all_servers(
    shop_all, bonus, second_bonus
):
    first, second = Flow("pincodes", shop_all, bonus), Flow("pincodes", shop_all, second_bonus)
    first.stage(("a b", "1234"))
    first.move(), second.move()
    original = named(first, "a b")
    assert correct(first, (original, {"account": "ab"})).rows == 1
    query(second.bonus, "update datatransfer.reject set resolved_by = gen_random_uuid()")
    first.move(), second.move()
    assert first.target_rows() == second.target_rows() == [("ab", "1234")]
    assert [(code, is_open) for _, _, code, is_open in rejects(first)] == [
        ("account_has_spaces", False)
    ]
