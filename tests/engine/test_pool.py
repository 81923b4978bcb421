"""Connections that are kept for the next question."""

import pytest

from tests.databases import query
from tests.waiting import wait_until
from transfer.engine.postgres import pool
from transfer.engine.postgres.pool import pooled
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError

PID = "select pg_backend_pid()"


def ask(dsn, statement=PID):
    with pooled(ShopAll(dsn, "tests")) as source:
        return source.database.value(statement)


def test_a_question_goes_through_the_connection_of_the_one_before(shop_all):
    assert ask(shop_all) == ask(shop_all)


def test_two_questions_at_once_have_a_connection_each(shop_all):
    with pooled(ShopAll(shop_all, "tests")) as source:
        assert source.database.value(PID) != ask(shop_all)


def test_the_next_question_finds_nothing_of_the_one_before(shop_all):
    with pooled(ShopAll(shop_all, "tests")) as source:
        pid = source.database.value(PID)
        source.database.execute("set session enable_sort = off")
        source.database.commit()
        with source.snapshot():
            source.database.one("select 1")
    with pooled(ShopAll(shop_all, "tests")) as source:
        assert source.database.value(PID) == pid
        settings = ("enable_sort", "transaction_isolation", "transaction_read_only")
        asked = ", ".join(f"current_setting('{name}')" for name in settings)
        assert source.database.one(f"select {asked}") == ("on", "read committed", "off")


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


def test_the_server_ends_what_nobody_asks_through(shop_all):
    assert ask(shop_all, "show idle_session_timeout") == "1min"


def test_a_connection_to_an_address_that_was_changed_is_closed_after_a_minute(
    shop_all, bonus, monkeypatch
):
    pid = ask(shop_all)
    monkeypatch.setattr(pool, "SECONDS", 0)
    ask(bonus)
    wait_until(lambda: not query(bonus, "select 1 from pg_stat_activity where pid = %s", [pid]))
