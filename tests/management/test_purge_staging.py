from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command

from tests.databases import query, stage
from tests.flow import send_all
from tests.restores import age
from transfer.engine.shop_all.installations import Installation
from transfer.models import Actor
from transfer.runs.undocking import undock


@pytest.fixture
def server(dock, bonus, shop_all):
    return dock(bonus)


def staged(shop_all):
    return [row[0] for row in query(shop_all, 'select account from "changeAccountBalanceTemp"')]


def purge(*options):
    call_command("purge_staging", "--older-than", "30", *options)


@pytest.fixture
def old(server, shop_all):
    """A row that the server has received, beyond the retention."""
    stage(shop_all, "balances", [("old", 1)])
    call_command("transfer", "balances")
    age(shop_all)


def test_moved_rows_beyond_the_retention_go_and_young_ones_stay(old, bonus, shop_all):
    stage(shop_all, "balances", [("young", 1)])
    call_command("transfer", "balances")
    purge()
    assert staged(shop_all) == ["young"]
    call_command("transfer", "balances")  # which sends nothing again
    assert query(bonus, "select account from asset order by 1") == [("old",), ("young",)]


def test_a_dry_run_counts_and_writes_nothing_at_all_to_the_table(old, shop_all, settings, capsys):
    """Rows removed and brought back would be as much work for the database as rows removed."""
    settings.LANGUAGE_CODE = "en"
    versions = 'select account, ctid::text, xmax::text from "changeAccountBalanceTemp"'
    before = query(shop_all, versions)
    purge("--dry-run")
    assert "changeAccountBalanceTemp: 1 rows would be removed" in capsys.readouterr().out
    assert query(shop_all, versions) == before
    assert staged(shop_all) == ["old"]


def test_the_sums_hold_after_a_purge_for_old_and_for_new_servers(
    server, dock, second_bonus, shop_all
):
    stage(shop_all, "balances", [("old", 3), ("old", 0), ("old", 4)])
    call_command("transfer", "balances")
    age(shop_all)
    purge()
    stage(shop_all, "balances", [("young", 5)])
    dock(second_bonus, "Бонусный сервер 9")
    call_command("transfer", "balances")
    call_command("reconcile")
    assert query(second_bonus, "select account from asset") == [("young",)]


def test_emptied_pages_are_forgotten_by_the_indexes_so_that_new_rows_find_them_cheap(
    server, shop_all
):
    """Summaries of rows that are gone would say for ever that they may be there."""
    unsummarised = "select brin_summarize_new_values('datatransfer_balances_account_brin')"
    rows = """
        insert into "changeAccountBalanceTemp" (account, amount)
        select 'number-' || n, 1 from generate_series(1, 10000) as n
    """
    # It would summarise them again before the test looks.
    query(shop_all, 'alter table "changeAccountBalanceTemp" set (autovacuum_enabled = off)')
    query(shop_all, rows)
    call_command("transfer", "balances")
    age(shop_all)
    query(shop_all, 'vacuum full "changeAccountBalanceTemp"')
    query(shop_all, rows)
    query(shop_all, unsummarised)
    assert query(shop_all, unsummarised) == [(0,)]
    call_command("transfer", "balances")
    purge()
    assert len(staged(shop_all)) == 10_000
    ((forgotten,),) = query(shop_all, unsummarised)
    assert forgotten > 1


def test_a_server_that_was_undocked_keeps_no_rows_back(server, dock, second_bonus, shop_all):
    other = dock(second_bonus, "Bonus server 9")
    stage(shop_all, "balances", [("old", 1)])
    call_command("transfer", "balances")
    age(shop_all)
    undock(other, Actor("olga"))
    purge()
    assert staged(shop_all) == []


def test_a_row_that_waits_stays_however_old_it_is(old, shop_all):
    stage(shop_all, "balances", [("waits", 1)])
    age(shop_all)
    purge()
    assert staged(shop_all) == ["waits"]


def test_a_server_that_has_not_begun_keeps_everything_back(old, dock, second_bonus, shop_all):
    """Nobody has said what it has received: it may be sent all of it."""
    late = dock(second_bonus, "Бонусный сервер 9", decided=False)
    purge()
    assert staged(shop_all) == ["old"]
    call_command("begin", late.name, "balances", "--everything")
    purge()
    assert staged(shop_all) == []


def test_a_task_switched_off_keeps_what_it_has_not_moved(server, dock, second_bonus, shop_all):
    dock(second_bonus, "Бонусный сервер 9")
    stage(shop_all, "balances", [("both", 1)])
    call_command("transfer", "balances")
    stage(shop_all, "balances", [("one", 1)])
    call_command("transfer", "balances", "--server", server.name)
    age(shop_all)
    purge()
    assert staged(shop_all) == ["one"]


def test_a_server_that_does_not_answer_keeps_what_it_needs_as_far_as_it_is_known(
    server, dock, second_bonus, shop_all, settings, capsys
):
    settings.LANGUAGE_CODE = "en"
    down = dock(second_bonus, "Бонусный сервер 9")
    stage(shop_all, "balances", [("both", 1)])
    call_command("transfer", "balances")
    stage(shop_all, "balances", [("one", 1)])
    call_command("transfer", "balances", "--server", server.name)
    age(shop_all)
    type(down).objects.filter(pk=down.pk).update(db_host="127.0.0.1", db_port=1)
    capsys.readouterr()
    purge()
    assert "is kept, by what is known of it" in capsys.readouterr().out
    assert staged(shop_all) == ["one"]


def test_a_pin_code_with_an_open_reject_stays_until_somebody_has_decided_on_it(server, shop_all):
    """Its value is masked everywhere else."""
    stage(shop_all, "pincodes", [("4100", "1")])
    stage(shop_all, "pincodes", [("41 00", "7351")])
    call_command("transfer", "pincodes")
    age(shop_all, "pincodes")
    purge()
    assert query(shop_all, 'select account from "accountpincodeTemp"') == [("41 00",)]


def test_a_server_of_another_installation_keeps_its_rows_until_somebody_says_that_it_is_gone(
    server, shop_all, second_bonus
):
    other = Installation(str(uuid4()), "the other one")
    send_all(shop_all, second_bonus, str(uuid4()), other)
    stage(shop_all, "balances", [("old", 1)])
    call_command("transfer", "balances")
    age(shop_all)
    purge()
    assert staged(shop_all) == ["old"]
    with pytest.raises(CommandError):
        purge("--without-installation", "a third one")
    purge("--without-installation", other.name)
    assert staged(shop_all) == []


def test_nothing_is_purged_from_a_shop_all_that_went_back_in_time(old, shop_all, copies):
    copies.make(shop_all, "before")
    stage(shop_all, "balances", [("lost", 1)])
    call_command("transfer", "balances")
    copies.restore(shop_all, "before")
    with pytest.raises(CommandError):
        purge()
    assert staged(shop_all) == ["old"]
    call_command("confirm_shop_all", "--yes")
    call_command("transfer", "balances")
    purge()
    assert staged(shop_all) == []
