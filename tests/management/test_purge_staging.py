import pytest
from django.core.management import call_command

from tests.databases import query, stage
from transfer.models import TransferTask


@pytest.fixture
def server(dock, bonus, shop_all):
    return dock(bonus)


def staged(shop_all):
    return [row[0] for row in query(shop_all, 'select account from "changeAccountBalanceTemp"')]


def age(shop_all):
    """Makes every row that is there forty days old."""
    query(shop_all, "update \"changeAccountBalanceTemp\" set created_at = now() - interval '40 d'")


def purge(*options):
    call_command("purge_staging", "--older-than", "30", *options)


def test_moved_rows_beyond_the_retention_go_and_young_ones_stay(server, shop_all):
    stage(shop_all, "balances", [("old", 1)])
    age(shop_all)
    stage(shop_all, "balances", [("young", 1)])
    call_command("transfer", "balances")
    purge()
    assert staged(shop_all) == ["young"]


def test_a_row_that_waits_stays_whatever_its_age(server, shop_all):
    call_command("transfer", "balances")
    stage(shop_all, "balances", [("waits", 1)])
    age(shop_all)
    purge()
    assert staged(shop_all) == ["waits"]


def test_a_dry_run_counts_and_removes_nothing(server, shop_all, settings, capsys):
    settings.LANGUAGE_CODE = "en"
    stage(shop_all, "balances", [("old", 1)])
    age(shop_all)
    call_command("transfer", "balances")
    purge("--dry-run")
    assert "changeAccountBalanceTemp: 1 rows would be removed" in capsys.readouterr().out
    assert staged(shop_all) == ["old"]


def test_a_dry_run_writes_nothing_at_all_to_the_table(server, shop_all):
    """Rows removed and brought back would be as much work for the database as rows removed."""
    stage(shop_all, "balances", [("old", 1)])
    age(shop_all)
    call_command("transfer", "balances")
    versions = 'select ctid::text, xmax::text from "changeAccountBalanceTemp"'
    before = query(shop_all, versions)
    purge("--dry-run")
    assert query(shop_all, versions) == before


def test_an_enabled_task_that_has_not_run_keeps_everything_back(
    server, dock, second_bonus, shop_all
):
    stage(shop_all, "balances", [("old", 1)])
    age(shop_all)
    call_command("transfer", "balances")
    late = dock(second_bonus, "Бонусный сервер 9")
    TransferTask.objects.filter(server=late).update(enabled=True)
    purge()
    assert staged(shop_all) == ["old"]


def test_a_task_that_never_ran_and_is_off_keeps_nothing_back(server, dock, second_bonus, shop_all):
    stage(shop_all, "balances", [("old", 1)])
    age(shop_all)
    call_command("transfer", "balances")
    dock(second_bonus, "Бонусный сервер 9")
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


def test_a_server_that_does_not_answer_keeps_everything_back_and_is_exit_code_1(
    server, dock, second_bonus, shop_all
):
    down = dock(second_bonus, "Бонусный сервер 9")
    stage(shop_all, "balances", [("old", 1)])
    age(shop_all)
    call_command("transfer", "balances")
    type(down).objects.filter(pk=down.pk).update(db_host="127.0.0.1", db_port=1)
    with pytest.raises(SystemExit) as ended:
        purge()
    assert ended.value.code == 1
    assert staged(shop_all) == ["old"]


def test_the_sums_hold_after_a_purge_for_old_and_for_new_servers(
    server, dock, second_bonus, shop_all
):
    stage(shop_all, "balances", [("old", 3), ("old", 0), ("old", 4)])
    age(shop_all)
    call_command("transfer", "balances")
    purge()
    stage(shop_all, "balances", [("young", 5)])
    dock(second_bonus, "Бонусный сервер 9")
    call_command("transfer", "balances")
    call_command("reconcile")
    assert query(second_bonus, "select account from asset") == [("young",)]


def test_nothing_is_fired_again_after_a_purge(server, bonus, shop_all):
    stage(shop_all, "balances", [("old", 3)])
    age(shop_all)
    call_command("transfer", "balances")
    purge()
    call_command("transfer", "balances")
    assert query(bonus, "select count(*) from asset") == [(1,)]
