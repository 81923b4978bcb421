"""Rows that were deleted from a staging table by hand: the page and the command."""

import json

import pytest
from django.core.management import CommandError, call_command

from tests.databases import query, stage
from tests.trace.moving import accounts, move
from transfer.models import AuditEntry, TransferTask
from transfer.problems.find import problems

pytestmark = pytest.mark.usefixtures("in_english")


@pytest.fixture
def deleted(server, dock, second_bonus, shop_all):
    """Server 8 has rows 1 and 2; one of them was deleted before server 9 read it."""
    nine = dock(second_bonus, "Server 9")
    TransferTask.objects.update(enabled=True)
    stage(shop_all, "balances", [("1", 1), ("2", 20)])
    move(server)
    query(shop_all, """delete from "changeAccountBalanceTemp" where amount = 20""")
    run = move(nine)
    assert run.error_code == "rows_differ"
    return nine


def test_the_page_lists_them_and_the_transfers_go_on_without(admin, deleted, server):
    (asked,) = [one for one in problems() if one.code == "refusal"]
    assert asked.url == "/missing/"
    page = admin.get(asked.url).text
    assert "Balance changes: 1 row" in page
    assert "Go on without them…" in page
    question = admin.get("/missing/balances/forget/").text
    assert "No bonus server that lacks them ever gets them." in question
    after = admin.post("/missing/balances/forget/", follow=True)
    assert "The transfers go on without 1 row." in after.text
    assert move(deleted).error_code == ""
    assert (accounts(server), accounts(deleted)) == (["1", "2"], ["1"])
    assert "No rows are missing" in admin.get("/missing/").text
    assert AuditEntry.objects.get(action="forget").new == {"kind": "balances", "given_up": 1}


def test_the_command_lists_them_first(deleted, capsys):
    call_command("forget_rows", "balances", "--dry-run", "--json")
    assert json.loads(capsys.readouterr().out)["rows"] == 1
    assert move(deleted).error_code == "rows_differ"
    with pytest.raises(CommandError, match="--yes"):
        call_command("forget_rows", "balances", "--json")
    call_command("forget_rows", "balances", "--yes")
    assert "the transfers go on without 1 rows" in capsys.readouterr().out
    assert move(deleted).error_code == ""


def test_rows_that_all_servers_have_received_concern_nobody(server, shop_all, capsys):
    stage(shop_all, "balances", [("1", 1)])
    move(server)
    query(shop_all, """delete from "changeAccountBalanceTemp" """)
    call_command("forget_rows", "balances")
    assert "no rows are missing" in capsys.readouterr().out
