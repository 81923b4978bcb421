"""Connections that are kept for the next question."""

import pytest

from tests.databases import query
from tests.waiting import wait_until
from transfer.engine.postgres import pool
from transfer.engine.postgres.pool import pooled
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError

PID = "select pg_backend_pid()"
# Temporary tables, advisory locks and prepared statements of the session.
LEFT_OVER = """
    select relname::text from pg_class where relpersistence = 't' and relname = 'left_over'
     union all select locktype from pg_locks
            where locktype = 'advisory' and pid = pg_backend_pid()
     union all select name from pg_prepared_statements
"""


def ask(dsn, statement=PID):
    with pooled(ShopAll(dsn, "tests", secret=False)) as source:
        return source.database.value(statement)


def test_a_question_goes_through_the_connection_of_the_one_before(shop_all):
    assert ask(shop_all) == ask(shop_all)


def test_two_questions_at_once_have_a_connection_each(shop_all):
    with pooled(ShopAll(shop_all, "tests", secret=False)) as source:
        assert source.database.value(PID) != ask(shop_all)


def test_the_next_question_finds_nothing_of_the_one_before(shop_all):
    with pooled(ShopAll(shop_all, "tests", secret=False)) as source:
        pid = source.database.value(PID)
        source.database.execute(
            "set session enable_sort = off; set session datestyle = german;"
            "select pg_advisory_lock(1); create temporary table left_over (); "
            "prepare left_over as select 1"
        )
        source.database.commit()
        with source.snapshot():
            source.database.only_row("select 1")
    with pooled(ShopAll(shop_all, "tests", secret=False)) as source:
        assert source.database.value(PID) == pid
        settings = ("enable_sort", "transaction_isolation", "transaction_read_only", "search_path")
        asked = ", ".join(f"current_setting('{name}')" for name in settings)
        found = source.database.only_row(f"select {asked}")
        assert found == ("on", "read committed", "off", "pg_catalog, pg_temp")
        assert source.database.value("select now()").tzinfo is not None
        assert not source.database.rows(LEFT_OVER)


def test_a_connection_has_the_name_of_who_uses_it_now(shop_all):
    for purpose in ("run 1", "run 2"):
        with pooled(ShopAll(shop_all, purpose, secret=False)) as source:
            assert source.database.value("show application_name") == f"dtadmin {purpose}"


def test_a_table_that_moved_to_another_schema_is_found_by_the_next_question(shop_all):
    ((database,),) = query(shop_all, "select current_database()")
    query(shop_all, f"alter database {database} set search_path = later, public")
    query(shop_all, "create schema later")
    try:
        for schema in ("public", "later"):
            with pooled(ShopAll(shop_all, "tests", secret=False)) as source:
                name = source.database.connection.table_name("accountpincodeTemp")
                assert name == f'"{schema}"."accountpincodeTemp"'
            query(shop_all, 'create table if not exists later."accountpincodeTemp" ()')
    finally:
        query(shop_all, f"alter database {database} reset search_path")
        query(shop_all, "drop schema later cascade")


def test_what_the_server_has_ended_is_opened_anew(shop_all):
    pid = ask(shop_all)
    query(shop_all, "select pg_terminate_backend(%s, 5000)", [pid])
    assert ask(shop_all) != pid


def test_a_connection_on_which_something_failed_is_not_kept(shop_all):
    pid = ask(shop_all)
    with pytest.raises(TransferError):
        ask(shop_all, "select 1 / 0")
    assert ask(shop_all) != pid


def test_it_is_opened_anew_after_a_minute(shop_all, monkeypatch):
    pid = ask(shop_all)
    monkeypatch.setattr(pool, "SECONDS", 0)
    assert ask(shop_all) != pid


def test_the_server_ends_what_nobody_asks_through(shop_all, monkeypatch):
    monkeypatch.setattr(pool, "SECONDS", 1)
    pid = ask(shop_all)
    wait_until(lambda: not query(shop_all, "select 1 from pg_stat_activity where pid = %s", [pid]))


def test_the_server_ends_no_session_that_is_used_however_long_it_idles(shop_all):
    assert [ask(shop_all, "show idle_session_timeout") for _ in range(2)] == ["0", "0"]


def test_a_connection_to_an_address_that_was_changed_is_closed_after_a_minute(
    shop_all, bonus, monkeypatch
):
    pid = ask(shop_all)
    monkeypatch.setattr(pool, "SECONDS", 0)
    ask(bonus)
    wait_until(lambda: not query(bonus, "select 1 from pg_stat_activity where pid = %s", [pid]))
