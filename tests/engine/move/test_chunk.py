"""A chunk: its rows arrive in a temporary table, and one statement applies the good ones."""

from decimal import Decimal

import pytest

from tests.chaos.checks import assert_nothing_moved, stage_many
from tests.databases import query
from transfer.engine.kinds import BALANCES
from transfer.errors import QueryFailed


@pytest.fixture
def balances(flow):
    return flow("balances")


def test_good_rows_go_into_the_table_and_bad_ones_to_the_rejects(balances):
    balances.stage(("1", 1), (" ", 2), ("2", 3), ("3", 0), ("4", "0.005"), ("5", 4))
    moved = balances.move(chunk_rows=4)
    assert [row[:2] for row in balances.target_rows()] == [("1", 1), ("2", 3), ("5", 4)]
    assert [(one.id, one.code) for one in moved.rejects] == [
        (2, "account_has_spaces"),
        (4, "amount_zero"),
        (5, "amount_decimals"),
    ]
    assert [chunk.reasons for chunk in moved] == [
        {"account_has_spaces": 1, "amount_zero": 1},
        {"amount_decimals": 1},
    ]
    totals = balances.position().totals
    assert (totals.applied, totals.unchanged, totals.rejected) == (3, 0, 3)
    assert (totals.amount_applied, totals.amount_rejected) == (8, Decimal("2.005"))


def test_rows_bear_the_time_of_their_chunk(balances):
    balances.stage(("1", 1), ("2", 1))
    balances.move()
    assert query(
        balances.bonus,
        "select count(distinct created_at), bool_and(created_at > now() - interval '1 h') "
        "from asset",
    ) == [(1, True)]


def test_a_rule_that_does_more_than_insert_is_not_passed_by(balances):
    query(
        balances.bonus,
        "create table log (account text); "
        "create rule noted as on insert to asset do also insert into log values (new.account)",
    )
    balances.stage(("1", 1), ("2", 1))
    with pytest.raises(QueryFailed) as failed:
        balances.move()
    assert "rules" in failed.value.technical
    assert_nothing_moved(balances)


def test_a_view_in_place_of_the_table_gets_its_rows(balances):
    query(
        balances.bonus,
        "alter table asset rename to kept; "
        "create view asset as select account, amount, validfrom, validto, comment, created_at "
        "from kept",
    )
    balances.stage(("1", 1), ("2", 0))
    moved = balances.move()
    assert moved.codes == ["amount_zero"]
    assert len(balances.target_rows()) == 1


def test_a_chunk_is_inserted_by_account_and_each_account_in_the_order_of_staging(balances):
    balances.stage(("2", 1), ("1", 2), ("10", 3), ("2", 4), ("1", 5))
    balances.move()
    inserted = query(balances.bonus, "select account, amount::integer from asset order by id")
    assert inserted == [("1", 2), ("1", 5), ("10", 3), ("2", 1), ("2", 4)]


def test_only_the_refused_row_of_its_chunk_is_rejected(balances):
    query(balances.bonus, "alter table asset add constraint small check (amount <> 5)")
    stage_many(balances, 12)
    moved = balances.move(chunk_rows=3)
    assert [chunk.totals.applied for chunk in moved] == [3, 2, 3, 3, 0]


@pytest.mark.parametrize("kind", ["balances", "cards"])
def test_a_dry_run_of_several_chunks_counts_the_same_and_leaves_no_trace(flow, kind):
    moving = flow(kind)
    moving.move()
    before = moving.position()
    rows = {
        "balances": [("1", 1), ("2", 0), ("3", 3), (" ", 4), ("5", 5)],
        "cards": [("1", "a", 1), ("1", None, 9), ("2", None, 1), ("2", "b", None), ("1", "a", 1)],
    }[kind]
    moving.stage(*rows)
    rehearsed = moving.move(chunk_rows=2, dry_run=True)
    assert moving.target_rows() == []
    assert moving.position() == before
    assert query(moving.shop_all, "select count(*) from datatransfer.log") == [(0,)]
    real = moving.move(chunk_rows=2)
    assert [(one.totals, one.reasons) for one in rehearsed] == [
        (one.totals, one.reasons) for one in real
    ]


def test_amounts_whose_sum_no_number_holds_are_rejects_and_leave_the_sums(balances):
    balances.stage(("1", "9e131071"), ("2", "9e131071"), ("3", 5))
    assert balances.move().codes == ["amount_out_of_range"] * 2
    assert [row[:2] for row in balances.target_rows()] == [("3", 5)]
    totals = balances.position().totals
    assert (totals.amount_applied, totals.amount_rejected) == (5, 0)
    with balances.open() as (source, _), source.snapshot():
        read = source.counts.read_up_to(BALANCES, balances.position().place, {})
    assert (read.rows, read.amount) == (3, 5)
