"""The indexes that `init_shop_all` makes, while writers go on."""

import threading

import pytest
from django.core.management import call_command

from tests.databases import connected, initialise_shop_all, insert, query, run, stage
from tests.waiting import wait_until
from transfer.engine.kinds import KINDS
from transfer.errors import TransferError

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_english")]

INDEXES = """
    select relname || ' ' || amname from pg_index
      join pg_class as index on index.oid = indexrelid join pg_am on pg_am.oid = relam
     where indrelid = to_regclass(%s) order by 1
"""
INVALID = "select indexrelid::regclass::text from pg_index where not indisvalid"
OF_BALANCES = [
    "datatransfer_balances_account_brin brin",
    "datatransfer_balances_changed btree",
    "datatransfer_balances_id_brin brin",
    "datatransfer_balances_id_unique_in_transaction btree",
]


def indexes(dsn, kind="balances"):
    return [name for (name,) in query(dsn, INDEXES, [f'"{KINDS[kind].staging}"'])]


def assert_as_today(dsn):
    assert [name for name in indexes(dsn) if "somebody" not in name] == OF_BALANCES
    assert query(dsn, INVALID) == []


def test_a_new_table_has_an_index_on_names_of_rows_and_small_ones_for_the_trace(shop_all):
    assert_as_today(shop_all)
    assert indexes(shop_all, "cards") == [
        "datatransfer_cards_account_brin brin",
        "datatransfer_cards_card_brin brin",
        "datatransfer_cards_changed btree",
        "datatransfer_cards_id_brin brin",
        "datatransfer_cards_id_unique_in_transaction btree",
    ]


def test_indexes_of_others_stay_and_rows_too(shop_all, capsys):
    stage(shop_all, "balances", [("4100", 5)])
    query(shop_all, 'create index somebodys_own on "changeAccountBalanceTemp" (amount)')
    query(shop_all, "drop index datatransfer_balances_id_brin")
    call_command("init_shop_all")
    assert_as_today(shop_all)
    assert "somebodys_own btree" in indexes(shop_all)
    assert capsys.readouterr().out.count("created, for the trace") == 1
    assert query(shop_all, 'select account from "changeAccountBalanceTemp"') == [("4100",)]


def test_who_writes_does_not_wait_and_what_was_interrupted_goes_on(shop_all, capsys):
    """An index waits for a transaction that is open, until somebody has enough of it."""
    query(
        shop_all,
        "drop index datatransfer_balances_account_brin, datatransfer_balances_id_brin",
    )
    failures = []

    def initialise():
        try:
            initialise_shop_all(shop_all)
        except TransferError as error:
            failures.append(error)

    with connected(shop_all) as writer, connected(shop_all) as admin:
        writer.autocommit = False
        insert(writer, "balances", [("waits", 1)])
        building = threading.Thread(target=initialise)
        building.start()
        wait_until(lambda: run(admin, INVALID))
        stage(shop_all, "balances", [("does not wait", 1)])
        run(
            admin,
            "select pg_cancel_backend(pid) from pg_stat_activity "
            "where query like 'create index concurrently%' and datname = current_database()",
        )
        building.join()
        writer.commit()
    assert len(failures) == 1
    assert query(shop_all, INVALID) != []
    call_command("init_shop_all")
    assert_as_today(shop_all)
    assert "removed, it was never finished" in capsys.readouterr().out
