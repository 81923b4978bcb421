"""The next chunk is moved ahead, and nothing depends on that it was."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count

import pytest
from psycopg2 import sql
from psycopg2.extensions import make_dsn, parse_dsn

from tests.causes import raises
from tests.chaos.checks import assert_all_moved_once, stage_many
from tests.databases import connected, query, run
from tests.proxy import STARTUP, Cut, Proxy
from tests.waiting import wait_until
from transfer.causes.ledger import SHOP_ALL_WENT_BACK
from transfer.engine.kinds import BALANCES
from transfer.engine.move import transfer as move
from transfer.engine.postgres.database import Database
from transfer.engine.postgres.deadline import Limits
from transfer.errors import ConnectionLost

SESSIONS = """
    select pid, state from pg_stat_activity
     where datname = current_database() and application_name like 'dtadmin%'
"""
# A session of the bonus server's that has received rows, and waits for its turn.
ROWS_WAIT = f"""
    select count(*) from ({SESSIONS} and state = 'idle in transaction'
                             and query ilike 'copy pg_temp.incoming%%') as waits
    having count(*) > 0
"""
# A session that has been waiting inside a transaction for longer than the limits of the test.
WAITING = f"{SESSIONS} and state = 'idle in transaction' and state_change < now() - interval '2 s'"


@pytest.fixture
def balances(flow):
    return flow("balances")


def test_rows_that_a_restore_cuts_off_ahead_are_not_said_to_be_deleted(balances, copies):
    """Of the second chunk half of the rows come before it, and the others never."""
    before = copies.take(balances.shop_all)
    stage_many(balances, 200)
    stage_many(balances, 200)
    rows = count(1)

    def arrives(message):
        if message.is_copy_data and next(rows) > 300:
            raise Cut
        return True

    with Proxy(balances.shop_all, arrives) as proxy:
        slow = replace(balances, shop_all=proxy.dsn)
        with slow.open() as (source, target):
            origin = slow.prepare(source, target).origin
            chunks = move.transfer(
                *(BALANCES, source, target, origin, slow.knowledge), chunk_rows=200
            )
            next(chunks)
            copies.restore(balances.shop_all, before)
            with suppress(ConnectionLost), source.snapshot():  # as a run does between chunks
                source.log.end(BALANCES)
            with raises(SHOP_ALL_WENT_BACK):
                next(chunks)


def test_a_transfer_of_one_chunk_opens_one_connection_to_each_database(balances):
    stage_many(balances, 9)
    with balances.open() as (source, target):
        origin = balances.prepare(source, target).origin
        chunks = move.transfer(BALANCES, source, target, origin, balances.knowledge, chunk_rows=9)
        assert next(chunks).totals.applied == 9
        for dsn in (balances.shop_all, balances.bonus):
            assert len(query(dsn, SESSIONS)) == 1
        assert [*chunks] == []


@pytest.mark.parametrize("moved", [1, 2])
def test_a_transfer_that_ends_early_leaves_no_connection_behind(balances, moved):
    """Each chunk is in the session that the one before was not in."""
    stage_many(balances, 12)
    threads = threading.active_count()
    with balances.open() as (source, target):
        origin = balances.prepare(source, target).origin
        chunks = move.transfer(BALANCES, source, target, origin, balances.knowledge, chunk_rows=3)
        for _ in range(moved):
            next(chunks)
        chunks.close()
        with source.snapshot():  # the caller's own connections are free
            source.identity.origin()
        assert target.positions.get(origin, BALANCES).totals.applied == 3 * moved
        for dsn in (balances.shop_all, balances.bonus):
            wait_until(lambda dsn=dsn: len(query(dsn, SESSIONS)) == 1)
    assert threading.active_count() <= threads + 1  # the watchdog
    assert_all_moved_once(balances, 12)


def test_a_transfer_that_ends_early_does_not_wait_for_a_server_that_takes_no_rows_ahead(balances):
    """It answers nothing more from the second COPY on. A lock keeps the first chunk from ending."""
    stage_many(balances, 9)
    copies = count(1)
    is_silent = threading.Event()

    def arrives(message):
        if message.is_copy_in and next(copies) > 1:
            is_silent.set()
        return not is_silent.is_set()

    with Proxy(balances.bonus, arrives) as proxy, connected(balances.bonus) as vendor:
        vendor.autocommit = False
        run(vendor, "lock table asset in exclusive mode")
        slow = replace(balances, bonus=proxy.dsn)
        with slow.open() as (source, target):
            origin = slow.prepare(source, target).origin
            chunks = move.transfer(BALANCES, source, target, origin, slow.knowledge, chunk_rows=3)
            moving = ThreadPoolExecutor(1).submit(next, chunks)
            assert is_silent.wait(20)
            target.database.hang_up()
            with pytest.raises(ConnectionLost):
                moving.result(20)
            assert not {"source", "target"} & {one.name for one in threading.enumerate()}
        vendor.rollback()
    assert_all_moved_once(balances, 9)


def test_the_next_rows_reach_the_bonus_server_while_it_applies_those_before(balances):
    """A lock of the vendor's keeps the first chunk from being applied until the next has come."""
    stage_many(balances, 9)
    with balances.open() as (source, target), connected(balances.bonus) as vendor:
        origin = balances.prepare(source, target).origin
        vendor.autocommit = False
        run(vendor, "lock table asset in exclusive mode")
        seen = []

        def let_go_once_they_are_there():
            with suppress(AssertionError):
                wait_until(lambda: query(balances.bonus, ROWS_WAIT))
            seen.extend(query(balances.bonus, ROWS_WAIT))
            vendor.rollback()

        thread = threading.Thread(target=let_go_once_they_are_there)
        thread.start()
        moved = [*move.transfer(BALANCES, source, target, origin, balances.knowledge, chunk_rows=3)]
        thread.join()
    assert seen == [(1,)]
    assert [chunk.totals.applied for chunk in moved] == [3, 3, 3, 0]
    assert_all_moved_once(balances, 9)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_it_goes_on_whatever_isolation_a_vendor_has_made_usual(balances, level):
    """The transaction of a chunk that was received ahead begins before the one before ends."""
    stage_many(balances, 9)
    name = sql.Identifier(parse_dsn(balances.bonus)["dbname"])
    setting = sql.SQL("alter database {} set default_transaction_isolation = {}")
    query(balances.bonus, setting.format(name, sql.Literal(level)))
    assert [chunk.totals.applied for chunk in balances.move(chunk_rows=3)] == [3, 3, 3, 0]
    assert_all_moved_once(balances, 9)


def test_a_server_that_lets_no_second_session_in_is_asked_for_it_once(balances):
    balances.prepare_alone()
    stage_many(balances, 12)
    asked = []

    def arrives(message):
        if message.type == STARTUP:
            asked.append(message)
        return True

    with only_one_connection(balances.bonus) as dsn, Proxy(dsn, arrives) as proxy:
        alone = replace(balances, bonus=proxy.dsn)
        with alone.open() as (source, target):
            origin = alone.prepare(source, target).origin
            chunks = move.transfer(BALANCES, source, target, origin, alone.knowledge, chunk_rows=3)
            assert [chunk.totals.applied for chunk in chunks] == [3, 3, 3, 3, 0]
    assert len(asked) == 2


@pytest.mark.parametrize("where", ["shop_all", "bonus"])
def test_where_no_further_connection_is_to_be_had_one_does(balances, where):
    balances.prepare_alone()
    stage_many(balances, 9)
    with only_one_connection(getattr(balances, where)) as dsn:
        alone = replace(balances, **{where: dsn})
        with alone.open() as (source, target):
            origin = alone.prepare(source, target).origin
            chunks = move.transfer(BALANCES, source, target, origin, alone.knowledge, chunk_rows=3)
            moved = [*chunks]
    assert [chunk.totals.applied for chunk in moved] == [3, 3, 3, 0]
    assert_all_moved_once(balances, 9)


@contextmanager
def only_one_connection(dsn):
    """The DSN of an account that may read and write what a transfer does, and log in once."""
    query(dsn, "drop role if exists alone")
    query(
        dsn,
        "create role alone login password 'alone' connection limit 1; "
        "grant usage on schema datatransfer to alone; "
        "grant usage on all sequences in schema public to alone; "
        "grant select, insert on all tables in schema public to alone; "
        "grant select, insert, update, delete on all tables in schema datatransfer to alone",
    )
    try:
        yield make_dsn(dsn, user="alone", password="alone")
    finally:
        query(dsn, "drop owned by alone; drop role alone")


@pytest.mark.parametrize("where", ["shop_all", "bonus"])
def test_a_chunk_whose_connection_is_lost_while_it_waits_is_moved_again(balances, where):
    stage_many(balances, 9)
    with balances.open() as (source, target):
        origin = balances.prepare(source, target).origin
        chunks = move.transfer(BALANCES, source, target, origin, balances.knowledge, chunk_rows=3)
        assert next(chunks).totals.applied == 3
        end_the_session_that_waits(getattr(balances, where))
        assert [chunk.totals.applied for chunk in chunks] == [3, 3, 0]
    assert_all_moved_once(balances, 9)


def end_the_session_that_waits(dsn):
    def waiting():
        return [pid for pid, state in query(dsn, SESSIONS) if state == "idle in transaction"]

    wait_until(waiting)
    (pid,) = waiting()
    query(dsn, "select pg_terminate_backend(%s)", [pid])
    wait_until(lambda: pid not in dict(query(dsn, SESSIONS)))


@pytest.mark.long
@pytest.mark.parametrize("where", ["shop_all", "bonus"])
def test_what_is_ahead_outlasts_a_chunk_that_takes_longer_than_the_limits(
    balances, monkeypatch, where
):
    """Only the sessions that wait have limits of a second here; the others were opened before."""
    stage_many(balances, 6)
    with balances.open() as (source, target), connected(balances.bonus) as vendor:
        origin = balances.prepare(source, target).origin
        monkeypatch.setattr(Database, "limits", Limits(statement=1))
        vendor.autocommit = False
        run(vendor, "lock table asset in exclusive mode")
        seen = []

        def let_go_once_it_has_waited():
            with suppress(AssertionError):
                wait_until(lambda: query(getattr(balances, where), WAITING))
            seen.extend(query(getattr(balances, where), WAITING))
            vendor.rollback()

        thread = threading.Thread(target=let_go_once_it_has_waited)
        thread.start()
        moved = [*move.transfer(BALANCES, source, target, origin, balances.knowledge, chunk_rows=3)]
        thread.join()
    assert seen
    assert [chunk.totals.applied for chunk in moved] == [3, 3, 0]
    assert_all_moved_once(balances, 6)
