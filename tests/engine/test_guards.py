"""Guards between the databases (docs/EXACTLY-ONCE.md). Without any of them a test here fails."""

import pytest
from psycopg2 import sql
from psycopg2.extensions import make_dsn, parse_dsn

from tests.causes import raises
from tests.chaos.checks import assert_all_moved_once, assert_nothing_moved, stage_many
from tests.databases import query
from tests.flow import Flow
from tests.proxy import Cut, Proxy
from transfer.causes.ledger import COMMIT_UNCONFIRMED, ROWS_LOST_ON_THE_WAY
from transfer.causes.tables import RIGHTS_MISSING
from transfer.engine.kinds import BALANCES
from transfer.engine.move.stream import Sending, SourceFailed, receive_rows
from transfer.engine.shop_all.rows import Reading
from transfer.errors import ConnectionLost, QueryFailed, WrongColumns


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
        with raises(ROWS_LOST_ON_THE_WAY) as caught:
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


# --- What an upsert holds on to, what the vendor demands, what we may do --------------------------


@pytest.mark.parametrize(
    ("kind", "harm", "named"),
    [
        ("pincodes", "alter table pincode drop constraint pincode_pkey", r"unique \(account\)"),
        (
            "cards",
            'alter table "cardAccounting" drop constraint "cardAccounting_pkey"; '
            'create unique index on "cardAccounting" (card) where status > 0',
            r"unique \(card\)",
        ),
        ("balances", "alter table asset drop created_at", "created_at"),
        ("pincodes", "alter table pincode drop changed_at", "changed_at"),
        # Eight bytes as well, and no error from anybody.
        ("balances", "alter table asset drop created_at, add created_at bigint", "created_at"),
        ("balances", "alter table asset add region integer not null", "region not null"),
    ],
)
def test_a_table_that_no_row_could_land_in_is_refused_by_name(flow, kind, harm, named):
    moving = flow(kind)
    query(moving.bonus, harm)
    with pytest.raises(WrongColumns, match=named):
        moving.move()
    assert moving.position() is None


def test_a_right_that_is_missing_comes_with_the_sql_to_run(balances, limited):
    balances.move()
    user = parse_dsn(limited)["user"]
    query(
        balances.bonus,
        f"grant usage on schema datatransfer to {user}; "
        f"grant select, insert, update, delete on all tables in schema datatransfer to {user}; "
        f"revoke insert on asset from {user}",
    )
    balances.stage(("1", 1))
    with raises(RIGHTS_MISSING) as caught:
        Flow("balances", balances.shop_all, limited).move()
    assert_nothing_moved(balances)
    assert "INSERT on asset" in caught.value.params["missing"]
    assert "grant insert on" in caught.value.params["statements"]


# --- Row security at the source -------------------------------------------------------------------


def test_a_policy_that_would_hide_rows_is_an_error(balances, postgres):
    balances.stage(("1", 1))
    balances.move()
    balances.stage(("2", 1))
    query(
        balances.shop_all,
        "drop role if exists watched; create role watched login; "
        "grant usage on schema public, datatransfer to watched; "
        "grant all on all tables in schema public, datatransfer to watched; "
        'alter table "changeAccountBalanceTemp" enable row level security; '
        "create policy own on \"changeAccountBalanceTemp\" using (account <> '2')",
    )
    try:
        watched = make_dsn(balances.shop_all, user="watched")
        with pytest.raises(QueryFailed) as failed:
            Flow("balances", watched, balances.bonus).move()
        assert "row-level security" in failed.value.technical
        assert [row[0] for row in balances.target_rows()] == ["1"]
    finally:
        query(balances.shop_all, "drop owned by watched; drop role watched")


# --- Whose error it is ----------------------------------------------------------------------------


def test_an_error_of_shop_all_in_mid_stream_is_told_as_its_own(balances):
    balances.move()
    balances.stage(("1", 1))
    query(
        balances.shop_all,
        'alter table "changeAccountBalanceTemp" rename to kept; '
        "create function bang(text) returns text language plpgsql as "
        "$$ begin raise exception 'bang'; end $$; ",
    )
    query(
        balances.shop_all,
        'create view "changeAccountBalanceTemp" as select id, bang(account)::varchar(100) as '
        "account, amount from kept",
    )
    with balances.open() as (source, target):
        target.database.execute(BALANCES.incoming)
        values = ["1::bigint", "id", "account", "amount", *["null"] * (len(BALANCES.sent) - 2)]
        text = f"select {', '.join(values)} from {{}}"
        rows = sql.SQL(text).format(BALANCES.staging_table)
        with source.snapshot(), pytest.raises(SourceFailed) as failed:
            receive_rows(BALANCES, Reading(()), Sending(source, rows), target)
        assert isinstance(failed.value.__cause__, QueryFailed)
        assert "bang" in failed.value.__cause__.technical


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
    assert [chunk.totals.applied for chunk in moved] == [4, 4, 2]
    assert_all_moved_once(balances, 10)


def test_a_commit_that_never_arrived_is_not_taken_for_one(balances):
    stage_many(balances, 10)
    with (
        Proxy(balances.bonus, cut_at_first_commit(lambda m: m.is_commit)) as proxy,
        raises(COMMIT_UNCONFIRMED),
    ):
        Flow("balances", balances.shop_all, proxy.dsn).move(chunk_rows=4)
    assert_nothing_moved(balances)
    assert_all_moved_once(balances, 10)
