"""What `init_shop_all` makes of the indexes and triggers that earlier versions left."""

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
    "changeAccountBalanceTemp_xid_id_idx btree",
    "datatransfer_balances_account_brin brin",
    "datatransfer_balances_changed btree",
    "datatransfer_balances_id_brin brin",
]
INDEXES_BEFORE = """
    drop index datatransfer_balances_account_brin, datatransfer_balances_id_brin;
    create unique index datatransfer_balances_id on "changeAccountBalanceTemp" (id);
    create index datatransfer_balances_account
        on "changeAccountBalanceTemp" (account text_pattern_ops);
    create index datatransfer_balances_account_end
        on "changeAccountBalanceTemp" (reverse(account) text_pattern_ops);
"""
TRIGGER_BEFORE = """
    drop trigger datatransfer_stamp_update on "changeAccountBalanceTemp";
    create or replace trigger datatransfer_stamp before insert or update
        on "changeAccountBalanceTemp" for each row execute function datatransfer.stamp();
    alter table "changeAccountBalanceTemp" enable always trigger datatransfer_stamp;
"""
TRIGGERS = """
    select tgname, tgqual is not null, tgenabled from pg_trigger
     where tgrelid = '"changeAccountBalanceTemp"'::regclass and tgname like '%stamp%' order by 1
"""


@pytest.fixture
def old(shop_all):
    """As the version before left it, and with an index that is not ours."""
    stage(shop_all, "balances", [("4100", 5)])
    query(shop_all, INDEXES_BEFORE + TRIGGER_BEFORE)
    query(shop_all, 'create index somebodys_own on "changeAccountBalanceTemp" (amount)')
    return shop_all


def indexes(dsn, kind="balances"):
    return [name for (name,) in query(dsn, INDEXES, [f'"{KINDS[kind].staging}"'])]


def assert_as_today(dsn):
    assert [name for name in indexes(dsn) if "somebody" not in name] == OF_BALANCES
    assert query(dsn, INVALID) == []


def test_a_new_table_has_an_index_on_its_order_and_small_ones_for_the_trace(shop_all):
    assert_as_today(shop_all)
    assert indexes(shop_all, "cards") == [
        "changeCardAccountTemp_xid_id_idx btree",
        "datatransfer_cards_account_brin brin",
        "datatransfer_cards_card_brin brin",
        "datatransfer_cards_changed btree",
        "datatransfer_cards_id_brin brin",
    ]


def test_those_of_the_version_before_are_replaced_and_nobody_elses(old, capsys):
    call_command("init_shop_all")
    assert_as_today(old)
    assert "somebodys_own btree" in indexes(old)
    output = capsys.readouterr().out
    assert output.count("created, for the trace") == 2
    assert output.count("removed, nothing needs it any more") == 3
    call_command("init_shop_all")
    assert "removed" not in capsys.readouterr().out
    assert query(old, 'select account from "changeAccountBalanceTemp"') == [("4100",)]


def test_the_trigger_of_the_version_before_is_replaced_by_two_that_hardly_ever_fire(old):
    call_command("init_shop_all")
    assert query(old, TRIGGERS) == [
        ("datatransfer_stamp", True, "A"),
        ("datatransfer_stamp_update", True, "A"),
    ]


def test_who_writes_does_not_wait_and_what_was_interrupted_goes_on(shop_all, capsys):
    """An index waits for a transaction that is open, until somebody has enough of it."""
    query(shop_all, INDEXES_BEFORE)
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
