"""Guards of DESIGN §3 between the databases, each provoked: without it a test here fails."""

import pytest

from tests.chaos.checks import assert_all_moved_once, assert_nothing_moved, stage_many
from tests.databases import Flow, query
from tests.proxy import Cut, Proxy
from transfer.errors import (
    CommitUnconfirmed,
    ConnectionLost,
    RowsLostOnTheWay,
    WrongColumns,
)


@pytest.fixture
def balances(flow):
    return flow("balances")


# --- Rows sent = rows received --------------------------------------------------------------------


def test_a_row_lost_on_the_way_rolls_the_chunk_back(balances):
    balances.move()
    stage_many(balances, 10)
    seen = []

    def drop_the_fifth_row(message):
        if message.is_copy_data:
            seen.append(message)
        return not (message.is_copy_data and len(seen) == 5)

    with Proxy(balances.shop_all, drop_the_fifth_row) as proxy:
        with pytest.raises(RowsLostOnTheWay) as caught:
            Flow("balances", proxy.dsn, balances.bonus).move()
        assert caught.value.params == {"sent": "10", "received": "9"}
    assert balances.target_rows() == []
    assert_all_moved_once(balances, 10)


def test_a_source_that_dies_in_mid_stream_is_no_clean_end(balances):
    stage_many(balances, 20_000)
    rows = []

    def kill_the_source(message):
        rows.append(message.is_copy_data)
        if sum(rows) == 500 and message.is_copy_data:
            terminate(balances.shop_all, "copy%")
        return True

    with Proxy(balances.shop_all, kill_the_source) as proxy, pytest.raises(ConnectionLost):
        Flow("balances", proxy.dsn, balances.bonus).move()
    assert 500 <= sum(rows) < 20_000
    assert balances.target_rows() == []
    assert_all_moved_once(balances, 20_000)


def test_a_target_that_dies_in_mid_stream_leaves_nothing_behind(balances):
    stage_many(balances, 20_000)
    pieces = []

    def kill_the_target(message):
        if not message.from_server and message.type == b"d":
            pieces.append(message)
            if len(pieces) == 3:
                terminate(balances.bonus, "copy%")
        return True

    with Proxy(balances.bonus, kill_the_target) as proxy, pytest.raises(ConnectionLost):
        Flow("balances", balances.shop_all, proxy.dsn).move()
    assert balances.target_rows() == []
    assert_all_moved_once(balances, 20_000)


def terminate(dsn, statement):
    """Ends the back-ends of the database that run such a statement, as an administrator would."""
    query(
        dsn,
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid() and query like %s",
        [statement],
    )


# --- Column types, before the first binary COPY ---------------------------------------------------


# timestamp is the worst: the same eight bytes, another time, and no error from anybody.
@pytest.mark.parametrize(
    ("column", "type_"),
    [("validfrom", "timestamp"), ("amount", "double precision"), ("account", "bytea")],
)
def test_a_source_column_of_another_type_is_refused_by_name(balances, column, type_):
    balances.stage(("1", 1, "2026-01-01T00:00:00Z", None, "x"))
    query(
        balances.shop_all,
        f'alter table "changeAccountBalanceTemp" drop {column}, add {column} {type_}',
    )
    with pytest.raises(WrongColumns, match=column):
        balances.move()
    assert_nothing_moved(balances)


# A scale of 1 would round in silence.
@pytest.mark.parametrize(
    ("column", "type_"),
    [("amount", "numeric(15, 1)"), ("validto", "timestamp"), ("account", "varchar(99)")],
)
def test_a_target_column_of_another_type_is_refused_by_name(balances, column, type_):
    balances.stage(("1", "1.23", None, "2026-01-01T00:00:00Z"))
    query(balances.bonus, f"alter table asset alter {column} type {type_}")
    with pytest.raises(WrongColumns, match=column):
        balances.move()
    assert_nothing_moved(balances)


# --- A commit whose answer is lost ----------------------------------------------------------------


def cut_at_first_commit(is_reached):
    """Cuts the connection once, at the commit of a chunk."""
    state = {"in_chunk": False, "cut": False}

    def tamper(message):
        state["in_chunk"] = state["in_chunk"] or message.is_copy_in
        if state["in_chunk"] and not state["cut"] and is_reached(message):
            state["cut"] = True
            raise Cut
        return True

    return tamper


def test_a_chunk_that_landed_without_an_answer_is_not_repeated(balances):
    stage_many(balances, 10)
    with Proxy(balances.bonus, cut_at_first_commit(lambda m: m.is_commit_done)) as proxy:
        moved = Flow("balances", balances.shop_all, proxy.dsn).move(chunk_rows=4)
    assert [chunk.totals.applied for chunk in moved.chunks] == [4, 4, 2]
    assert_all_moved_once(balances, 10)


def test_a_commit_that_never_arrived_is_not_taken_for_one(balances):
    stage_many(balances, 10)
    with (
        Proxy(balances.bonus, cut_at_first_commit(lambda m: m.is_commit)) as proxy,
        pytest.raises(CommitUnconfirmed),
    ):
        Flow("balances", balances.shop_all, proxy.dsn).move(chunk_rows=4)
    assert_nothing_moved(balances)
    assert_all_moved_once(balances, 10)
