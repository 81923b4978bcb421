"""Whether all that was staged is accounted for, on the page of a bonus server."""

import io
import re

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.urls import reverse

from tests.databases import connected, query, run, stage
from transfer.errors import Difference
from transfer.models.run_base import Trigger
from transfer.pages.servers import server as page
from transfer.runs.execute import run_here
from transfer.runs.reconcile import reconcile_all

UNDER_WAY = """
    select query from pg_stat_activity
     where application_name like 'dtadmin reconcile%%' and state = 'active'
"""


@pytest.fixture
def reconciliation(client, server):
    """The text of the page's part."""
    anna = User.objects.create_user("anna")
    anna.groups.add(Group.objects.get(name="viewer"))
    client.force_login(anna)
    client.cookies["django_language"] = "en"
    url = reverse("server_reconciliation", args=[server.pk])
    return lambda query="": client.get(url + query).text


def reconcile_daily():
    with pytest.raises(Difference):
        list(reconcile_all())


def reconcile_by_command():
    with pytest.raises(SystemExit):
        call_command("reconcile", stdout=io.StringIO())


@pytest.fixture
def moved(task, shop_all):
    stage(shop_all, "balances", [("4100", 5), ("4100", 0)])
    run_here(task, Trigger.COMMAND)


def test_what_is_accounted_for_is_shown_for_each_transfer(moved, reconciliation):
    assert "Everything accounted for" in reconciliation()
    assert reconciliation().count("Nothing has been moved yet.") == 2


def test_of_a_lost_position_it_says_so_and_counts_the_rows_of_each_batch(
    moved, reconciliation, bonus
):
    query(bonus, "drop schema datatransfer cascade")
    text = reconciliation()
    assert "no longer says what it has received" in text
    assert text.count("Nothing has been moved yet.") == 2
    numbers = re.findall(r'<td[^>]*class="num"[^>]*>\s*([0-9]+)', text)
    assert numbers[-4:] == ["1", "2", "1", "1"]  # the batch, its rows, moved, rejected


def test_it_says_what_differs(moved, reconciliation, bonus, shop_all):
    query(bonus, "delete from datatransfer.reject")
    assert "1 rejected, 0 found" in reconciliation()
    assert "Difference" not in reconciliation()
    query(shop_all, 'delete from "changeAccountBalanceTemp" where amount = 5')
    assert "Difference: −1 rows, −5" in reconciliation("?anew=1")


def test_rows_that_were_counted_are_counted_again_when_somebody_asks(
    moved, task, reconciliation, shop_all
):
    reconciliation()
    query(shop_all, 'delete from "changeAccountBalanceTemp" where amount = 5')
    stage(shop_all, "balances", [("4100", 7)])
    run_here(task, Trigger.COMMAND)
    text = reconciliation()
    assert "Everything accounted for" in text
    assert "since then those that were added" in text
    assert "Difference: −1 rows, −5" in reconciliation("?anew=1")
    assert "Difference: −1 rows, −5" in reconciliation()


@pytest.mark.parametrize("counts", [reconcile_daily, reconcile_by_command])
def test_what_others_have_counted_the_page_knows(moved, reconciliation, shop_all, counts):
    reconciliation()
    query(shop_all, 'delete from "changeAccountBalanceTemp" where amount = 5')
    counts()
    assert "Difference: −1 rows, −5" in reconciliation()


def test_after_a_purge_all_rows_are_counted(moved, reconciliation, shop_all):
    reconciliation()
    query(shop_all, 'delete from "changeAccountBalanceTemp" where amount = 5')
    purged = "insert into datatransfer.purged (kind, rows, amount) values ('balances', 1, 5)"
    query(shop_all, f"{purged} on conflict (kind) do update set rows = 1, amount = 5")
    assert "Everything accounted for" in reconciliation()


def test_no_statement_of_ours_goes_on_after_the_page_has_given_up(
    moved, reconciliation, shop_all, monkeypatch
):
    monkeypatch.setattr(page, "RECONCILE_SECONDS", 1)
    with connected(shop_all) as holder:
        holder.autocommit = False
        run(holder, 'lock table "changeAccountBalanceTemp" in access exclusive mode')
        assert "did not finish a statement in time" in reconciliation()
        assert query(shop_all, UNDER_WAY) == []
