"""Balance changes are copied straight into the server's table, and where that won't do, not."""

from contextlib import contextmanager
from decimal import Decimal

import pytest
from psycopg2.extensions import make_dsn

from tests.chaos.checks import assert_all_moved_once, assert_nothing_moved, stage_many
from tests.databases import Flow, query
from tests.waiting import wait_until
from transfer.engine.kinds import BALANCES
from transfer.engine.move import chunk as landing, transfer as move
from transfer.errors import QueryFailed

OURS = """
    select count(*) from pg_stat_activity
     where datname = current_database() and application_name like 'dtadmin%'
"""


@pytest.fixture
def balances(flow):
    return flow("balances")


@pytest.fixture
def filled(monkeypatch):
    """The chunks that go through `incoming`, by their first position."""
    chunks, fill = [], landing.fill

    def noting(portion, source, target):
        chunks.append(portion.before)
        return fill(portion, source, target)

    monkeypatch.setattr(landing, "fill", noting)
    return chunks


def test_good_rows_go_straight_into_the_table_and_bad_ones_to_the_rejects(balances, filled):
    balances.stage(("1", 1), (" ", 2), ("2", 3), ("3", 0), ("4", "0.005"), ("5", 4))
    moved = balances.move(chunk_rows=4)
    assert not filled
    assert [row[:2] for row in balances.target_rows()] == [("1", 1), ("2", 3), ("5", 4)]
    assert [(one.id, one.code) for one in moved.rejects] == [
        (2, "account_has_spaces"),
        (4, "amount_zero"),
        (5, "amount_decimals"),
    ]
    assert [chunk.reasons for chunk in moved.chunks] == [
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
    with pytest.raises(QueryFailed, match="rules"):
        balances.move()
    assert_nothing_moved(balances)


def test_a_view_in_place_of_the_table_gets_its_rows(balances, filled):
    query(
        balances.bonus,
        "alter table asset rename to kept; "
        "create view asset as select account, amount, validfrom, validto, comment, created_at "
        "from kept",
    )
    balances.stage(("1", 1), ("2", 0))
    moved = balances.move()
    assert len(filled) == 1
    assert moved.codes == ["amount_zero"]
    assert len(balances.target_rows()) == 1


def test_only_the_chunk_with_a_refused_row_leaves_the_straight_way(balances, filled):
    query(balances.bonus, "alter table asset add constraint small check (amount <> 5)")
    stage_many(balances, 12)
    moved = balances.move(chunk_rows=3)
    assert [chunk.totals.applied for chunk in moved.chunks] == [3, 2, 3, 3, 0]
    assert filled == [moved.chunks[1].before]


def test_a_chunk_that_another_runner_moved_meanwhile_is_not_moved_from_memory(balances):
    stage_many(balances, 9)
    with balances.doors() as (source, target):
        origin = balances.prepare(source, target).origin
        chunks = move.transfer(BALANCES, source, target, origin, chunk_rows=3)
        assert next(chunks).totals.applied == 3
        balances.move_one(chunk_rows=3)
        assert [chunk.totals.applied for chunk in chunks] == [3, 0]
    assert_all_moved_once(balances, 9)


def test_a_transfer_that_ends_early_leaves_no_connection_behind(balances):
    stage_many(balances, 9)
    with balances.doors() as (source, target):
        origin = balances.prepare(source, target).origin
        chunks = move.transfer(BALANCES, source, target, origin, chunk_rows=3)
        next(chunks)
        chunks.close()
        with source.snapshot():  # the caller's own connection is free
            source.origin()
        wait_until(lambda: query(balances.shop_all, OURS) == [(1,)])


def test_where_no_further_connection_is_to_be_had_one_does(balances):
    stage_many(balances, 9)
    with only_one_connection(balances.shop_all) as dsn:
        alone = Flow("balances", dsn, balances.bonus)
        assert [chunk.totals.applied for chunk in alone.move(chunk_rows=3).chunks] == [3, 3, 3, 0]
    assert_all_moved_once(balances, 9)


@contextmanager
def only_one_connection(dsn):
    """The DSN of an account that may read, write the log, and log in once."""
    query(dsn, "drop role if exists alone")
    query(
        dsn,
        "create role alone login password 'alone' connection limit 1; "
        "grant usage on schema datatransfer to alone; "
        "grant select on all tables in schema public, datatransfer to alone; "
        "grant insert on datatransfer.batch to alone",
    )
    try:
        yield make_dsn(dsn, user="alone", password="alone")
    finally:
        query(dsn, "drop owned by alone; drop role alone")


@pytest.mark.parametrize("kind", ["balances", "cards"])
def test_a_dry_run_of_several_chunks_counts_the_same(flow, kind):
    moving = flow(kind)
    rows = {
        "balances": [("1", 1), ("2", 0), ("3", 3), (" ", 4), ("5", 5)],
        "cards": [("1", "a", 1), ("1", None, 9), ("2", None, 1), ("2", "b", None), ("1", "a", 1)],
    }[kind]
    moving.stage(*rows)
    rehearsed = moving.move(chunk_rows=2, dry_run=True)
    assert moving.target_rows() == []
    real = moving.move(chunk_rows=2)
    assert [(one.totals, one.reasons) for one in rehearsed.chunks] == [
        (one.totals, one.reasons) for one in real.chunks
    ]
