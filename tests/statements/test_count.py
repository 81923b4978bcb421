"""A small month on real databases, counted by hand."""

from datetime import timedelta

import pytest

from tests.databases import query, stage
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.models import RejectedRow
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here
from transfer.statements.count import count_period, money


def balances(counted):
    (kind,) = [one for one in counted["kinds"] if one["kind"] == "balances"]
    return kind["log"], {one["server"]["name"]: one for one in kind["servers"]}


def note(shop_all, kind):
    with ShopAll(shop_all, "tests", secret=False) as source:
        source.log_writer.append(kind)


def test_a_month_is_what_was_staged_received_rejected_and_waits(
    server, task, shop_all, month, last_days
):
    stage(shop_all, "balances", [("4100", 5)])
    run_here(task, Trigger.MANUAL)
    month(50)  # before the period
    stage(shop_all, "balances", [("4100", 5), ("4100", 0), ("", 3), ("4200", "2.25")])
    run_here(task, Trigger.MANUAL)
    RejectedRow.objects.update(created_at=last_days(40, 40).starts)
    month(40)
    stage(shop_all, "balances", [("4100", 11), ("4300", 7)])
    note(shop_all, task.kind_spec)
    month(35)  # in the period, and received after it
    run_here(task, Trigger.MANUAL)

    log, servers = balances(count_period(last_days(45, 31), None))
    assert (log["opening"]["number"], log["closing"]["number"], log["lines"]) == (1, 3, 2)
    assert log["staged"] == {"rows": 6, "amount": "28.25"}
    assert log["withdrawn"] == log["taken_back"] == {"rows": 0, "amount": "0.00"}
    one = servers[server.name]
    assert one["received"] == {"rows": 4, "amount": "10.25"}
    assert one["applied"] == {"rows": 2, "amount": "7.25"}
    assert one["rejected"] == {"rows": 2, "amount": "3.00"}
    assert one["open"] == {"rows": 2, "amount": "3.00"}
    assert one["waiting"] == {"rows": 2, "amount": "18.00"}
    assert one["passed"]["number"] == 2


def test_a_rejected_row_that_was_decided_in_the_period_is_not_open_at_its_end(
    task, shop_all, month, last_days
):
    stage(shop_all, "balances", [("", 3), ("", 4), ("", 5)])
    run_here(task, Trigger.MANUAL)
    period = last_days(45, 31)
    RejectedRow.objects.update(created_at=period.starts)
    first, second, third = RejectedRow.objects.order_by("pk")
    State = RejectedRow.State
    within = period.starts + timedelta(days=2)
    RejectedRow.objects.filter(pk=first.pk).update(state=State.DISCARDED, closed_at=within)
    RejectedRow.objects.filter(pk=second.pk).update(state=State.RESENT, closed_at=period.ends)
    month(40)

    counted = count_period(period, None)
    _log, servers = balances(counted)
    (one,) = servers.values()
    assert one["decided"]["discarded"] == {"rows": 1, "amount": "3.00"}
    assert one["decided"]["resent"] == {"rows": 0, "amount": "0.00"}
    assert one["open"] == {"rows": 2, "amount": "9.00"}
    assert [reject["key"] for reject in counted["open_rejects"]] == [second.key, third.key]


def test_days_follow_each_other_so_each_line_is_in_one_of_two_periods(
    task, shop_all, month, last_days
):
    for days in (44, 40, 40, 33):
        stage(shop_all, "balances", [("4100", days)])
        note(shop_all, task.kind_spec)
        month(days)
    parts = [balances(count_period(last_days(*days), None))[0] for days in ((45, 41), (40, 31))]
    assert [part["staged"]["amount"] for part in parts] == ["44.00", "113.00"]
    assert parts[0]["closing"] == parts[1]["opening"]


@pytest.mark.django_db(transaction=True)
def test_rows_that_a_restored_server_is_sent_again_are_named(
    dock, bonus, shop_all, copies, month, last_days
):
    task = dock(bonus).tasks.select_related("server").get(kind="balances")
    before = copies.take(bonus)
    stage(shop_all, "balances", [("4100", 5), ("4200", 6)])
    run_here(task, Trigger.MANUAL)
    copies.restore(bonus, before)
    run_here(task, Trigger.MANUAL)
    month(40)

    log, servers = balances(count_period(last_days(45, 31), task.server))
    (one,) = servers.values()
    assert log["staged"] == {"rows": 2, "amount": "11.00"}
    assert one["received"] == {"rows": 4, "amount": "22.00"}
    assert one["lost_by_restore"] == {"rows": 2, "amount": "11.00"}
    assert one["waiting"] == {"rows": 0, "amount": "0.00"}


def test_purged_lines_count_as_before(task, shop_all, month, last_days):
    stage(shop_all, "balances", [("4100", 5)])
    stage(shop_all, "balances", [("4100", 7)])
    run_here(task, Trigger.MANUAL)
    month(40)
    period = last_days(45, 31)
    before = count_period(period, None)
    query(
        shop_all,
        """update datatransfer.log set changeset = gen_random_uuid(), xid = null, started = null,
                  rows = 0, amount = 0, purged = 0 where number = 2;
           delete from datatransfer.log where number = 1""",
    )
    assert balances(count_period(period, None)) == balances(before)


def test_a_period_before_the_first_line_is_refused(task, shop_all, month, last_days):
    stage(shop_all, "balances", [("4100", 5)])
    note(shop_all, task.kind_spec)
    month(40)
    with pytest.raises(TransferError) as refused:
        count_period(last_days(60, 41), None)
    assert refused.value.code == "period_before_first_line"


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0", "0.00"), ("5", "5.00"), ("1E+3", "1000.00"), ("-0.5", "-0.50"), ("1.2345", "1.2345")],
)
def test_sums_are_text_with_all_digits(amount, text):
    from decimal import Decimal

    assert money(Decimal(amount)) == text
