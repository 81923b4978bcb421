import json

import pytest
from django.core.management import call_command

from tests.databases import query, stage
from transfer.engine.kinds import BALANCES


@pytest.fixture
def server(dock, bonus, shop_all):
    return dock(bonus)


def reconcile(capsys, *options):
    """The exit code, and what it said of each kind."""
    code = 0
    try:
        call_command("reconcile", "--json", *options)
    except SystemExit as ended:
        code = ended.code
    lines = capsys.readouterr().out.splitlines()
    reports = [json.loads(line) for line in lines if line.startswith("{")]
    return code, {line["kind"]: line for line in reports}


def test_staged_rows_and_sums_are_those_applied_and_rejected(server, shop_all, capsys):
    stage(shop_all, "balances", [("4100", 5), ("4100", 0), ("", 3), ("4200", "NaN")])
    call_command("transfer", "balances")
    code, reports = reconcile(capsys)
    assert code == 0
    balances = reports["balances"]
    assert (balances["state"], balances["staged"], balances["applied"]) == ("ok", 4, 1)
    assert (balances["rejected"], balances["amount_staged"]) == (3, "8")
    assert (balances["amount_applied"], balances["amount_rejected"]) == ("5", "3")
    assert reports["cards"]["state"] == "not_begun"


def test_rows_that_wait_are_no_difference(server, shop_all, capsys):
    stage(shop_all, "balances", [("4100", 5)])
    call_command("transfer", "balances")
    stage(shop_all, "balances", [("4100", 7)])
    assert reconcile(capsys)[0] == 0


def test_a_batch_that_was_cut_short_is_no_difference(flow, server, shop_all, capsys):
    stage(shop_all, "balances", [("4100", 5), ("4100", 7)])
    flow("balances").move_one(chunk_rows=1)
    code, reports = reconcile(capsys)
    assert (code, reports["balances"]["staged"]) == (0, 1)


def test_a_row_that_somebody_removed_is_a_difference_and_exit_code_1(server, shop_all, capsys):
    stage(shop_all, "balances", [("4100", 5), ("4100", 7)])
    call_command("transfer", "balances")
    query(shop_all, 'delete from "changeAccountBalanceTemp" where amount = 7')
    code, reports = reconcile(capsys)
    assert code == 1
    assert reports["balances"]["state"] == "difference"
    assert (reports["balances"]["rows_missing"], reports["balances"]["amount_missing"]) == (
        -1,
        "-7",
    )


def test_an_amount_that_somebody_changed_afterwards_is_a_difference(server, shop_all, capsys):
    stage(shop_all, "balances", [("4100", 5)])
    call_command("transfer", "balances")
    query(shop_all, 'update "changeAccountBalanceTemp" set amount = 6')
    assert reconcile(capsys)[0] == 1


def test_a_server_that_does_not_answer_is_exit_code_1_and_the_others_are_told(
    server, dock, second_bonus, shop_all, capsys
):
    call_command("transfer", "all")
    down = dock(second_bonus, "Бонусный сервер 9")
    type(down).objects.filter(pk=down.pk).update(db_host="127.0.0.1", db_port=1)
    code, reports = reconcile(capsys)
    assert code == 1
    assert reports["balances"]["state"] == "error"
    assert reconcile(capsys, "--server", server.name)[0] == 0


def change(shop_all, amount):
    """Stages an amount of 5, moves it, and changes it."""
    stage(shop_all, "balances", [("4100", 5)])
    call_command("transfer", "balances")
    query(shop_all, f'update "{BALANCES.staging}" set amount = {amount} where amount = 5')


@pytest.mark.parametrize("decision", [("leave",), ("send", "--amount", "2")])
def test_a_changed_amount_is_a_difference_until_it_is_decided_on(
    server, shop_all, capsys, decision
):
    change(shop_all, 7)
    code, reports = reconcile(capsys)
    assert (code, reports["balances"]["amount_missing"]) == (1, "2")
    ((row,),) = query(shop_all, f'select id from "{BALANCES.staging}"')
    call_command("changed_rows", "--kind", "balances", "--row", str(row), "--decide", *decision)
    code, reports = reconcile(capsys)
    assert (code, reports["balances"]["amount_missing"]) == (0, "0")
    assert reports["balances"]["amount_explained"] == "2"

    call_command("transfer", "balances")
    assert reconcile(capsys)[0] == 0
    query(shop_all, f"update \"{BALANCES.staging}\" set created_at = now() - interval '1 year'")
    call_command("purge_staging", "--older-than", "30")
    assert query(shop_all, f'select from "{BALANCES.staging}"') == []
    assert reconcile(capsys)[0] == 0


def test_a_decision_explains_no_later_difference(server, shop_all, capsys):
    change(shop_all, 7)
    call_command("changed_rows", "--decide", "leave")
    assert reconcile(capsys)[0] == 0
    query(shop_all, f'alter table "{BALANCES.staging}" disable trigger user')
    query(shop_all, f'update "{BALANCES.staging}" set amount = 10')
    call_command("init_shop_all")  # enables them again
    code, reports = reconcile(capsys)
    assert (code, reports["balances"]["amount_missing"]) == (1, "3")


def test_a_change_that_waits_for_a_decision_explains_nothing(server, shop_all, capsys):
    change(shop_all, 7)
    call_command("changed_rows", "--decide", "leave")
    assert reconcile(capsys)[0] == 0
    change(shop_all, 9)
    code, reports = reconcile(capsys)
    assert (code, reports["balances"]["amount_missing"]) == (1, "4")
    call_command("changed_rows", "--decide", "leave")
    assert reconcile(capsys)[0] == 0
