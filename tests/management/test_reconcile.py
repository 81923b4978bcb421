import json
from contextlib import suppress

import pytest
from django.core.management import call_command

from tests.databases import query, stage
from tests.management.exit_codes import exit_code
from transfer.engine.kinds import BALANCES
from transfer.models import Actor
from transfer.runs.purge import purge
from transfer.runs.restored import confirm


@pytest.fixture
def server(dock, bonus, shop_all):
    return dock(bonus)


def reconcile(capsys, *options):
    """The exit code, and what it said of each kind."""
    code = exit_code("reconcile", "--json", *options)
    lines = capsys.readouterr().out.splitlines()
    reports = [json.loads(line) for line in lines if line.startswith("{")]
    return code, {line["kind"]: line for line in reports if line["state"] != "lines_differ"}


def differing(capsys):
    """The lines of shop All's log that differ from its tables: rows, and those found; and sums."""
    with suppress(SystemExit):
        call_command("reconcile", "--json")
    said = capsys.readouterr().out.splitlines()
    lines = [json.loads(line) for line in said if line.startswith("{")]
    return [
        (line["rows"], line["rows_found"], line["amount"], line["amount_found"])
        for line in lines
        if line["state"] == "lines_differ"
    ]


def test_rows_and_sums_of_the_log_are_those_applied_and_rejected(server, shop_all, capsys):
    stage(shop_all, "balances", [("4100", 5), ("4100", 0), ("", 3), ("4200", "NaN")])
    call_command("transfer", "balances")
    code, reports = reconcile(capsys)
    assert code == 0
    balances = reports["balances"]
    assert (balances["state"], balances["logged"], balances["applied"]) == ("ok", 4, 1)
    assert (balances["rejected"], balances["amount_logged"]) == (3, "8")
    assert (balances["amount_applied"], balances["amount_rejected"]) == ("5", "3")
    assert (reports["cards"]["state"], reports["cards"]["logged"]) == ("ok", 0)


def test_rows_that_wait_are_no_difference(server, shop_all, capsys):
    stage(shop_all, "balances", [("4100", 5)])
    call_command("transfer", "balances")
    stage(shop_all, "balances", [("4100", 7)])
    assert reconcile(capsys)[0] == 0


def test_a_changeset_that_was_cut_short_is_no_difference(flow, server, shop_all, capsys):
    stage(shop_all, "balances", [("4100", 5), ("4100", 7)])
    flow("balances").move_one(chunk_rows=1)
    code, reports = reconcile(capsys)
    assert (code, reports["balances"]["logged"]) == (0, 1)


def test_a_row_that_somebody_removed_is_a_difference_and_exit_code_1(server, shop_all, capsys):
    """Of the table, and not of the server: it has counted what it has received."""
    stage(shop_all, "balances", [("4100", 5), ("4100", 7)])
    call_command("transfer", "balances")
    query(shop_all, 'delete from "changeAccountBalanceTemp" where amount = 7')
    code, reports = reconcile(capsys)
    assert (code, reports["balances"]["state"]) == (1, "ok")
    assert differing(capsys) == [(2, 1, "12", "5")]


def test_an_amount_that_our_triggers_did_not_see_changing_is_a_difference(server, shop_all, capsys):
    stage(shop_all, "balances", [("4100", 5)])
    call_command("transfer", "balances")
    query(shop_all, 'alter table "changeAccountBalanceTemp" disable trigger user')
    query(shop_all, 'update "changeAccountBalanceTemp" set amount = 6')
    for name in ("1_insert", "1_update", "2_update"):
        enable = f"enable always trigger zz_datatransfer_{name}"
        query(shop_all, f'alter table "changeAccountBalanceTemp" {enable}')
    assert differing(capsys) == [(1, 1, "5", "6")]


def test_an_amount_that_was_changed_is_no_difference(server, shop_all, capsys):
    """What the server has received is known: the page of changed rows asks what to do."""
    stage(shop_all, "balances", [("4100", 5)])
    call_command("transfer", "balances")
    query(shop_all, 'update "changeAccountBalanceTemp" set amount = 6')
    assert reconcile(capsys)[0] == 0


@pytest.mark.parametrize("decision", [("leave",), ("send",)])
def test_it_is_none_after_the_decision_and_a_purge_either(server, shop_all, capsys, decision):
    stage(shop_all, "balances", [("4100", 5)])
    call_command("transfer", "balances")
    query(shop_all, f'update "{BALANCES.staging}" set amount = 7')
    call_command("changed_rows", "--decide", *decision)
    call_command("transfer", "balances")
    assert reconcile(capsys)[0] == 0
    task = server.tasks.select_related("server").get(kind="balances")
    purge(task.kind_spec, [task], 0, dry_run=False)
    assert query(shop_all, f'select from "{BALANCES.staging}"') == []
    assert reconcile(capsys)[0] == 0


def test_rows_that_the_server_counted_wrongly_are_a_difference(server, shop_all, bonus, capsys):
    stage(shop_all, "balances", [("4100", 5), ("4100", 7)])
    call_command("transfer", "balances")
    query(bonus, "update datatransfer.position set rows_applied = 1, amount_applied = 5")
    code, reports = reconcile(capsys)
    balances = reports["balances"]
    assert (code, balances["state"]) == (1, "difference")
    assert (balances["rows_missing"], balances["amount_missing"]) == (1, "7")


def test_rows_that_shop_all_has_lost_are_named_as_that(server, shop_all, copies, capsys):
    """Before the server's next run, and after it; and once they are staged again, they are not."""
    stage(shop_all, "balances", [("4100", 5)])
    call_command("transfer", "balances")
    copies.make(shop_all, "early")
    stage(shop_all, "balances", [("4100", 7), ("4200", 9)])
    call_command("transfer", "balances")
    copies.restore(shop_all, "early")
    stage(shop_all, "balances", [("4300", 1)])
    before = reconcile(capsys)
    confirm(Actor("olga"))
    call_command("transfer", "balances")
    after = reconcile(capsys)
    for (code, reports), logged in ((before, 1), (after, 2)):
        balances = reports["balances"]
        assert (code, balances["state"]) == (0, "ok")
        assert (balances["logged"], balances["lost"]) == (logged, 2)
        assert balances["amount_lost"] == "16"


def test_rows_that_a_server_does_without_are_no_difference(
    server, dock, second_bonus, shop_all, capsys
):
    stage(shop_all, "balances", [("4100", 3), ("4100", 0), ("4100", 4)])
    call_command("transfer", "balances")
    task = server.tasks.select_related("server").get(kind="balances")
    purge(task.kind_spec, [task], 0, dry_run=False)
    later = dock(second_bonus, "Бонусный сервер 9")
    stage(shop_all, "balances", [("4200", 7)])
    call_command("transfer", "balances")
    assert query(later.dsn, "select account from asset") == [("4200",)]
    assert reconcile(capsys)[0] == 0


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
