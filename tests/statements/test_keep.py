"""Statements that are made by themselves."""

import pytest

from tests.databases import query, stage
from transfer.models import LogDay, MaintenanceRun, MaintenanceTask, Statement
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here
from transfer.runs.maintenance import execute_maintenance
from transfer.text.reports import run_report


def test_last_months_statement_is_made_once(february_over, key):
    for days in (0, 1):
        february_over(days)
    (one,) = Statement.objects.all()
    assert (str(one.first), str(one.last), one.server_pk) == ("2026-02-01", "2026-02-28", None)


def test_the_sums_of_each_day_are_what_the_log_says_until_its_lines_go(february_over, shop_all):
    february_over()
    for removed, withdrawn in ((0, "true"), (2, "false")):
        query(
            shop_all,
            f"update datatransfer.log set withdrawn = {withdrawn};"
            f" update datatransfer.head set removed = {removed}",
        )
        february_over(1)
    days = LogDay.objects.filter(kind="balances").order_by("day")
    assert [str(one.day) for one in days][:: len(days) - 1] == ["2026-02-10", "2026-03-01"]
    assert (days[0].rows, days[0].amount, days[0].withdrawn) == (1, 5, 1)


@pytest.mark.django_db(transaction=True)
def test_a_run_without_a_key_says_so_and_makes_none(task, shop_all, settings, in_english):
    settings.STATEMENT_KEY = ""
    stage(shop_all, "balances", [("4100", 5)])
    run_here(task, Trigger.MANUAL)
    maintenance = MaintenanceTask.objects.get(kind="statement")
    run = MaintenanceRun.of(maintenance, Trigger.MANUAL)
    run.start()
    execute_maintenance(run, lambda: 0)
    assert "STATEMENT_KEY" in " ".join(run_report(run))
    assert not Statement.objects.exists()
