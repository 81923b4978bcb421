"""The next chunk is read ahead, and nothing depends on that it was."""

import threading
from contextlib import contextmanager, suppress

import pytest
from psycopg2.extensions import make_dsn

from tests.causes import raises
from tests.chaos.checks import assert_all_moved_once, stage_many
from tests.databases import connected, query, run
from tests.flow import Flow
from tests.waiting import wait_until
from transfer.causes.ledger import SHOP_ALL_WENT_BACK
from transfer.engine.kinds import BALANCES
from transfer.engine.move import stream, transfer as move
from transfer.engine.postgres.database import Database
from transfer.engine.postgres.deadline import Limits
from transfer.errors import ConnectionLost

MORE_THAN_IS_HELD = 10_000  # rows of `stage_many`
SESSIONS = """
    select pid, state from pg_stat_activity
     where datname = current_database() and application_name like 'dtadmin%'
"""
# A session that has been waiting inside a transaction for longer than the limits of the test.
WAITING = f"{SESSIONS} and state = 'idle in transaction' and state_change < now() - interval '2 s'"


@pytest.fixture
def balances(flow):
    return flow("balances")


def test_a_chunk_that_another_runner_moved_meanwhile_is_not_moved_from_memory(balances):
    stage_many(balances, 9)
    with balances.open() as (source, target):
        origin = balances.prepare(source, target).origin
        chunks = move.transfer(BALANCES, source, target, origin, balances.knowledge, chunk_rows=3)
        assert next(chunks).totals.applied == 3
        balances.move_one(chunk_rows=3)
        assert [chunk.totals.applied for chunk in chunks] == [3, 0]
    assert_all_moved_once(balances, 9)


def test_rows_that_were_read_ahead_before_a_restore_are_not_said_to_be_deleted(
    balances, copies, monkeypatch
):
    """Those are: more than is held, so they are read again, from the restored shop All."""
    monkeypatch.setattr(stream, "MOST_HELD", stream.BLOCK)
    before = copies.take(balances.shop_all)
    stage_many(balances, MORE_THAN_IS_HELD)
    stage_many(balances, MORE_THAN_IS_HELD)
    with balances.open() as (source, target):
        origin = balances.prepare(source, target).origin
        chunks = move.transfer(
            *(BALANCES, source, target, origin, balances.knowledge), chunk_rows=MORE_THAN_IS_HELD
        )
        next(chunks)
        copies.restore(balances.shop_all, before)
        with suppress(ConnectionLost), source.snapshot():  # as a run does that notes its progress
            source.log.end(BALANCES)
        with raises(SHOP_ALL_WENT_BACK):
            next(chunks)


def test_a_transfer_that_ends_early_leaves_no_connection_behind(balances):
    stage_many(balances, 9)
    with balances.open() as (source, target):
        origin = balances.prepare(source, target).origin
        chunks = move.transfer(BALANCES, source, target, origin, balances.knowledge, chunk_rows=3)
        next(chunks)
        chunks.close()
        with source.snapshot():  # the caller's own connection is free
            source.identity.origin()
        wait_until(lambda: len(query(balances.shop_all, SESSIONS)) == 1)


def test_where_no_further_connection_is_to_be_had_one_does(balances):
    stage_many(balances, 9)
    with only_one_connection(balances.shop_all) as dsn:
        alone = Flow("balances", dsn, balances.bonus)
        assert [chunk.totals.applied for chunk in alone.move(chunk_rows=3)] == [3, 3, 3, 0]
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
        "grant insert, update on all tables in schema datatransfer to alone",
    )
    try:
        yield make_dsn(dsn, user="alone", password="alone")
    finally:
        query(dsn, "drop owned by alone; drop role alone")


def test_a_chunk_whose_connection_is_lost_while_it_waits_is_read_again(balances):
    stage_many(balances, 9)
    with balances.open() as (source, target):
        origin = balances.prepare(source, target).origin
        chunks = move.transfer(BALANCES, source, target, origin, balances.knowledge, chunk_rows=3)
        assert next(chunks).totals.applied == 3
        end_the_session_that_reads_ahead(balances.shop_all)
        assert [chunk.totals.applied for chunk in chunks] == [3, 3, 0]
    assert_all_moved_once(balances, 9)


def end_the_session_that_reads_ahead(dsn):
    (pid,) = [pid for pid, state in query(dsn, SESSIONS) if state == "idle in transaction"]
    query(dsn, "select pg_terminate_backend(%s)", [pid])
    wait_until(lambda: pid not in dict(query(dsn, SESSIONS)))


def test_reading_ahead_outlasts_a_chunk_that_takes_longer_than_shop_alls_limits(
    balances, monkeypatch
):
    """Only the session that waits has limits of a second here; the others were opened before."""
    stage_many(balances, 6)
    with balances.open() as (source, target), connected(balances.bonus) as vendor:
        origin = balances.prepare(source, target).origin
        monkeypatch.setattr(Database, "limits", Limits(statement=1))
        vendor.autocommit = False
        run(vendor, "lock table asset in exclusive mode")
        seen = []

        def let_go_once_it_has_waited():
            wait_until(lambda: query(balances.shop_all, WAITING))
            seen.extend(query(balances.shop_all, WAITING))
            vendor.rollback()

        thread = threading.Thread(target=let_go_once_it_has_waited)
        thread.start()
        moved = [*move.transfer(BALANCES, source, target, origin, balances.knowledge, chunk_rows=3)]
        thread.join()
    assert seen
    assert [chunk.totals.applied for chunk in moved] == [3, 3, 0]
    assert_all_moved_once(balances, 6)
