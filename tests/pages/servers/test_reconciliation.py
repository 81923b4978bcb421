"""Whether all that was staged is accounted for, on the page of a bonus server."""

import io
import re

import pytest
from django.core.management import call_command
from django.urls import reverse

from tests.causes import raises
from tests.databases import connected, query, run, stage
from transfer.causes.runs import DIFFERENCE
from transfer.engine.kinds import KINDS
from transfer.models.run_base import Trigger
from transfer.pages.servers import server as page
from transfer.runs.execute import run_here
from transfer.runs.reconcile import reconcile_all

UNDER_WAY = """
    select query from pg_stat_activity
     where application_name like 'dtadmin reconcile%%' and state = 'active'
"""
# As if the server had counted a row less.
LESS = """
    update datatransfer.position set rows_applied = rows_applied - 1,
                                     amount_applied = amount_applied - 5
     where kind = 'balances'
"""


@pytest.fixture
def reconciliation(viewer, server):
    """The text of the page's part."""
    url = reverse("server_reconciliation", args=[server.pk])
    return lambda query="": viewer.get(url + query).text


def reconcile_by_command():
    with pytest.raises(SystemExit):
        call_command("reconcile", stdout=io.StringIO())


def reconcile_daily():
    with raises(DIFFERENCE):
        list(reconcile_all())


@pytest.fixture
def moved(task, shop_all):
    stage(shop_all, "balances", [("4100", 5), ("4100", 0)])
    run_here(task, Trigger.COMMAND)


def test_it_is_counted_on_demand_and_the_result_stays_with_its_time(moved, reconciliation):
    assert "Not counted yet." in reconciliation()
    counted = reconciliation("?now=1")
    assert counted.count("Everything accounted for") == len(KINDS)
    assert counted.count("Line 1 of the log, which has 1") == 1
    when, *_others = re.findall(r'<time datetime="([^"]+)"', counted)
    shown = reconciliation()
    assert "Everything accounted for" in shown
    assert when in shown


def test_a_dead_database_is_named_once_and_not_for_each_transfer(server, reconciliation):
    server.db_host, server.db_port = "127.0.0.1", 9
    server.save()
    shown = reconciliation("?now=1")
    assert shown.count('class="server-cause') == 1
    assert shown.count("Could not be counted now.") == len(KINDS)


def test_it_says_what_differs(moved, reconciliation, bonus):
    query(bonus, LESS)
    assert "Difference: 1 rows, +5" in reconciliation("?now=1").replace("\u202f", "")


@pytest.mark.parametrize("counts", [reconcile_daily, reconcile_by_command])
def test_it_shows_what_the_daily_run_and_the_command_have_counted(
    moved, reconciliation, bonus, counts
):
    reconciliation("?now=1")
    query(bonus, LESS)
    assert "Everything accounted for" in reconciliation()
    counts()
    assert "Difference: 1 rows, +5" in reconciliation().replace("\u202f", "")


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
