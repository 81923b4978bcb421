"""A month in which much goes wrong, counted by hand: the product's own functions alone are used."""

import pytest

from tests.databases import query, stage
from tests.trace.moving import move
from transfer.loading import undo_load, upload_job
from transfer.models import Bulletin, RejectedRow, TransferTask
from transfer.models.run_base import Trigger
from transfer.rejects.resend import resend
from transfer.runs.beginning import Answer, Decision, decide
from transfer.runs.execute import run_here
from transfer.runs.purge import purge
from transfer.runs.restored import confirm
from transfer.statements.count import count_period

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]


def test_a_month_with_a_correction_an_undo_and_a_restore_of_shop_all(
    server, dock, second_bonus, shop_all, load, copies, olga, month, last_days
):
    second = dock(second_bonus, "Бонусный сервер 9")
    stage(shop_all, "balances", [("4100", 5), ("", 3)])  # line 1
    move(server)
    move(second)
    resend(
        RejectedRow.objects.filter(server=server), {"account": "4100", "amount": "3"}, olga
    )  # line 2
    upload = load("balances", b"account;amount\n4100;10\n4200;20\n")  # line 3
    move(server)
    upload_job.go_on(undo_load.order(upload, olga))  # line 4, before the second server has line 3
    move(server)
    copies.make(shop_all, "early")
    stage(shop_all, "balances", [("4300", 1)])
    move(server)
    copies.restore(shop_all, "early")
    stage(shop_all, "balances", [("4400", 2)])  # another line 5
    assert move(server).error_code == "shop_all_went_back"
    confirm(olga)
    move(server)
    then = last_days(40, 40).starts
    RejectedRow.objects.update(created_at=then)
    Bulletin.objects.update(at=then)
    RejectedRow.objects.exclude(closed_at=None).update(closed_at=then)
    month(40)

    counted = count_period(last_days(45, 31), None)
    (kind,) = [one for one in counted["kinds"] if one["kind"] == "balances"]
    log = kind["log"]
    # Line 5 is the answer that this is the right shop All.
    assert (log["opening"]["number"], log["closing"]["number"]) == (0, 6)
    # 5 + 3, a correction of 3, 10 + 20; the two rows that take these back; 2.
    assert log["staged"] == {"rows": 8, "amount": "43.00"}
    assert log["corrections"] == {"rows": 1, "amount": "3.00"}
    assert log["withdrawn"] == log["taken_back"] == {"rows": 2, "amount": "30.00"}
    one, other = kind["servers"]
    # All of that, and the row that shop All has lost.
    assert one["received"] == {"rows": 9, "amount": "44.00"}
    assert one["rejected"] == {"rows": 1, "amount": "3.00"}
    assert one["decided"]["resent"] == {"rows": 1, "amount": "3.00"}
    assert one["open"] == one["waiting"] == {"rows": 0, "amount": "0.00"}
    # The second server has received line 1 alone. It is never sent line 3.
    assert other["received"] == {"rows": 2, "amount": "8.00"}
    assert other["passed"]["number"] == 1
    assert other["waiting"] == {"rows": 4, "amount": "5.00"}
    assert [restore["code"] for restore in counted["restores"]] == ["shop_all_restored"]
    move(second)
    month(39)
    (kind,) = [
        one for one in count_period(last_days(45, 31), second)["kinds"] if one["kind"] == "balances"
    ]
    (other,) = kind["servers"]
    assert other["received"] == {"rows": 6, "amount": "13.00"}
    assert other["waiting"] == {"rows": 0, "amount": "0.00"}


def test_rows_that_a_server_does_without_are_counted_on_the_day_of_the_answer(
    dock, bonus, second_bonus, shop_all, copies, olga, month, last_days
):
    server = dock(bonus)
    dock(second_bonus, "Бонусный сервер 9")
    stage(shop_all, "balances", [("4100", 5), ("4200", "2.5")])
    before = copies.take(bonus)
    tasks = TransferTask.objects.filter(kind="balances").select_related("server")
    for task in tasks:
        run_here(task, Trigger.MANUAL)
    purge(tasks[0].kind_spec, tasks, 0, dry_run=False)
    copies.restore(bonus, before)
    assert move(server).error_code == "rows_purged"
    task = tasks.get(server=server)
    decide(task, Decision(Answer.WITHOUT), olga, dry_run=True)
    decide(task, Decision(Answer.WITHOUT), olga, dry_run=False)
    assert query(
        shop_all,
        "select (content::jsonb ->> 'skipped')::int from datatransfer.kept where name like %s",
        [f"balances % {server.pk}"],
    ) == [(2,)]
    move(server)
    month(40)
    (kind,) = [
        one for one in count_period(last_days(45, 31), None)["kinds"] if one["kind"] == "balances"
    ]
    one, other = kind["servers"]
    assert one["skipped"] == {"rows": 2, "amount": "7.50"}
    assert one["received"] == one["lost_by_restore"] == {"rows": 2, "amount": "7.50"}
    assert other["skipped"] == {"rows": 0, "amount": "0.00"}
