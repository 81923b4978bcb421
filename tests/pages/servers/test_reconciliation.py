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


def reconcile_by_command():
    with pytest.raises(SystemExit):
        call_command("reconcile", stdout=io.StringIO())


def reconcile_daily():
    with pytest.raises(Difference):
        list(reconcile_all())


@pytest.fixture
def moved(task, shop_all):
    stage(shop_all, "balances", [("4100", 5), ("4100", 0)])
    run_here(task, Trigger.COMMAND)


def test_it_is_counted_on_demand_and_the_result_stays_with_its_time(moved, reconciliation):
    assert "Not counted yet." in reconciliation()
    counted = reconciliation("?now=1")
    assert "Everything accounted for" in counted
    assert counted.count("Nothing has been moved yet.") == 2
    (when,) = re.findall(r'<time datetime="([^"]+)"', counted.split("<details")[0])
    shown = reconciliation()
    assert "Everything accounted for" in shown
    assert when in shown


def test_of_a_lost_position_it_says_so_and_counts_the_rows_of_each_batch(
    moved, reconciliation, bonus
):
    query(bonus, "drop schema datatransfer cascade")
    text = reconciliation("?now=1")
    assert "no longer says what it has received" in text
    assert text.count("Nothing has been moved yet.") == 2
    numbers = re.findall(r'<td[^>]*class="num"[^>]*>\s*([0-9]+)', text)
    assert numbers[-4:] == ["1", "2", "1", "1"]  # the batch, its rows, moved, rejected


def test_a_dead_database_is_named_once_and_not_for_each_transfer(server, reconciliation):
    server.db_host, server.db_port = "127.0.0.1", 9
    server.save()
    shown = reconciliation()
    assert shown.count('class="server-cause') == 1
    assert shown.count("Could not be counted now.") == 3


def test_it_says_what_differs(moved, reconciliation, bonus, shop_all):
    query(bonus, "delete from datatransfer.reject")
    text = reconciliation("?now=1")
    assert "1 rejected, 0 found" in text
    assert "Difference" not in text
    query(shop_all, 'delete from "changeAccountBalanceTemp" where amount = 5')
    assert "Difference: −1 rows, −5" in reconciliation("?now=1")


@pytest.mark.parametrize("counts", [reconcile_daily, reconcile_by_command])
def test_it_shows_what_the_daily_run_and_the_command_have_counted(
    moved, reconciliation, shop_all, counts
):
    reconciliation("?now=1")
    query(shop_all, 'delete from "changeAccountBalanceTemp" where amount = 5')
    assert "Everything accounted for" in reconciliation()
    counts()
    assert "Difference: −1 rows, −5" in reconciliation()


def test_a_count_that_takes_too_long_is_stopped_and_the_last_result_stays(
    moved, reconciliation, shop_all, monkeypatch
):
    reconciliation("?now=1")
    monkeypatch.setattr(page, "PATIENTLY", 1)
    with connected(shop_all) as holder:
        holder.autocommit = False
        run(holder, 'lock table "changeAccountBalanceTemp" in access exclusive mode')
        text = reconciliation("?now=1")
        assert "did not answer in time" in text
        assert "Everything accounted for" in text
        assert query(shop_all, UNDER_WAY) == []
