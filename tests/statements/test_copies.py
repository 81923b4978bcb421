"""What shop All keeps of statements and daily sums: a restore of any database loses none of it."""

import json
from datetime import timedelta

import pytest

from tests.databases import query, stage
from transfer.engine.shop_all.source import ShopAll
from transfer.loading import undo_load, upload_job
from transfer.models import (
    Actor,
    AuditEntry,
    LogDay,
    RejectedRow,
    ServerDay,
    Settings,
    Statement,
    TransferTask,
)
from transfer.models.run_base import Trigger
from transfer.rejects.resend import resend
from transfer.runs.execute import run_here
from transfer.runs.purge import purge
from transfer.statements.against import numbers_outside
from transfer.statements.copies import exchange_days
from transfer.statements.count import count_period
from transfer.statements.document import Document, write_new_key
from transfer.statements.keep import keep_days, make

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]
SOMEBODY = Actor("tests")


@pytest.fixture
def now():
    from django.utils import timezone

    return timezone.now()


def move(server_name="Бонусный сервер 8"):
    task = TransferTask.objects.select_related("server").get(
        kind="balances", server__name=server_name
    )
    return run_here(task, Trigger.MANUAL)


def exchange(shop_all):
    with ShopAll(shop_all, "tests", secret=False) as source:
        exchange_days(source)


def balances(counted):
    (kind,) = [one for one in counted["kinds"] if one["kind"] == "balances"]
    return kind["log"], kind["servers"]


def statement_of(period):
    return make(period, None, SOMEBODY)


def content(statement):
    return json.loads(statement.document)["statement"]


def test_what_lines_said_of_single_rows_outlives_them(task, shop_all, olga, load, month, last_days):
    stage(shop_all, "balances", [("4100", 5), ("", 3)])
    move()
    resend(RejectedRow.objects.all(), {"account": "4100", "amount": "3"}, olga)
    upload = load("balances", b"account;amount\n4100;10\n4200;20\n")
    move()
    upload_job.go_on(undo_load.order(upload, olga))
    move()
    month(100)
    period = last_days(110, 90)
    before = balances(count_period(period, None))[0]
    assert before["corrections"] == {"rows": 1, "amount": "3.00"}
    assert before["taken_back"] == {"rows": 2, "amount": "30.00"}
    tasks = TransferTask.objects.filter(kind="balances").select_related("server")
    done = purge(task.kind_spec, tasks, 0, dry_run=False)
    assert done.lines, "no line has gone"
    assert balances(count_period(period, None))[0] == before
    LogDay.objects.all().delete()
    unknown = balances(count_period(period, None))[0]
    assert unknown["unknown_days"] == [str(period.last - timedelta(10))]
    exchange(shop_all)
    assert balances(count_period(period, None))[0] == before


def test_the_days_of_a_log_come_back_to_a_new_database_on_the_same_shop_all(
    task, shop_all, month, last_days, now
):
    stage(shop_all, "balances", [("4100", 5)])
    move()
    month(40)
    keep_days(now)
    kept = {*LogDay.objects.filter(kind="balances").values_list("day", "rows", "amount")}
    LogDay.objects.all().delete()
    Settings.objects.update(installation="11111111-1111-4111-8111-111111111111")
    query(shop_all, "update datatransfer.head set removed = 1")
    exchange(shop_all)
    back = {*LogDay.objects.filter(kind="balances").values_list("day", "rows", "amount")}
    assert back
    assert back <= kept


def test_rows_that_a_restored_database_does_not_know_are_of_the_day_on_which_they_came(
    dock, bonus, shop_all, own, month, last_days
):
    dock(bonus)
    stage(shop_all, "balances", [("4100", 5)])
    move()
    place = own.copy()
    stage(shop_all, "balances", [("4100", 7), ("", 2)])
    move()
    month(40)
    exchange(shop_all)
    own.restore(place)
    month(40)
    stage(shop_all, "balances", [("4100", 11)])
    move()
    counted = [
        (one.applied, one.rejected, int(one.amount_applied))
        for one in ServerDay.objects.filter(kind="balances").order_by("day")
    ]
    assert counted == [(2, 1, 12), (1, 0, 11)]
    _log, (one,) = balances(count_period(last_days(45, 31), None))
    assert one["received"] == {"rows": 3, "amount": "14.00"}


def test_rows_whose_days_no_copy_has_are_counted_once_when_it_goes_on(
    dock, bonus, shop_all, own, month
):
    dock(bonus)
    stage(shop_all, "balances", [("4100", 5)])
    move()
    place = own.copy()
    stage(shop_all, "balances", [("4100", 7)])
    move()
    own.restore(place)
    stage(shop_all, "balances", [("4100", 11)])
    move()
    (day,) = ServerDay.objects.filter(kind="balances")
    assert (day.applied, day.amount_applied) == (3, 23)


def test_shop_all_gets_back_what_its_own_restore_has_lost(
    task, shop_all, copies, key, month, last_days
):
    stage(shop_all, "balances", [("4100", 5)])
    move()
    month(40)
    copies.make(shop_all, "early")
    statement_of(last_days(45, 31))
    copies.restore(shop_all, "early")
    assert query(shop_all, "select name from datatransfer.kept") == []
    statement_of(last_days(45, 31))
    names = query(
        shop_all,
        "select split_part(name, ' ', 2) from datatransfer.kept where what = 'statement'"
        " order by name",
    )
    assert [name for (name,) in names] == [
        one.digest for one in Statement.objects.order_by("number")
    ]
    (applied,) = query(
        shop_all,
        "select content::json ->> 'applied' from datatransfer.kept where what = 'server_day'",
    )
    assert applied == ("1",)


def test_the_chain_goes_on_after_a_restore_of_our_own_database(
    task, shop_all, own, key, month, last_days
):
    stage(shop_all, "balances", [("4100", 5)])
    move()
    month(40)
    first = statement_of(last_days(45, 31))
    place = own.copy()
    second = statement_of(last_days(45, 31))
    own.restore(place)
    assert Statement.objects.count() == 1
    assert numbers_outside() == [2]
    third = statement_of(last_days(45, 31))
    back = Statement.objects.get(number=2)
    assert (back.document, back.made_at.replace(microsecond=0)) == (
        second.document,
        second.made_at.replace(microsecond=0),
    )
    assert content(third)["previous"] == second.digest
    assert content(second)["previous"] == first.digest
    assert content(third)["not_in_chain"] == []
    entry = AuditEntry.objects.filter(action="statement", new__came_back=True).get()
    assert entry.new["digest"] == second.digest


def test_two_databases_that_go_on_from_one_name_each_others_statements(
    task, shop_all, own, copies, key, month, last_days
):
    """Both were restored, and shop All goes on as the one that knows more."""
    stage(shop_all, "balances", [("4100", 5)])
    move()
    month(40)
    place = own.copy()
    copies.make(shop_all, "early")
    lost = statement_of(last_days(45, 31))
    copies.make(shop_all, "late")
    own.restore(place)
    copies.restore(shop_all, "early")
    # By somebody else: within one second it would be the same one, byte for byte.
    again = make(last_days(45, 31), None, Actor("somebody else"))
    copies.restore(shop_all, "late")
    assert lost.digest != again.digest
    assert numbers_outside() == [1]
    named = content(statement_of(last_days(45, 31)))["not_in_chain"]
    installation = str(Settings.load().installation)
    assert named == [{"installation": installation, "number": 1, "digest": lost.digest}]


def test_two_databases_on_one_shop_all_make_one_chain(task, shop_all, own, key, month, last_days):
    stage(shop_all, "balances", [("4100", 5)])
    move()
    month(40)
    ours = own.copy()
    first = statement_of(last_days(45, 31))
    theirs = own.copy()
    own.restore(ours)  # a copy that knows nothing of it
    second = statement_of(last_days(45, 31))
    own.restore(theirs)
    third = statement_of(last_days(45, 31))
    assert [first.number, second.number, third.number] == [1, 2, 3]
    assert content(third)["previous"] == second.digest


def test_another_installation_on_the_same_shop_all_has_a_chain_of_its_own(
    task, shop_all, key, month, last_days
):
    stage(shop_all, "balances", [("4100", 5)])
    move()
    month(40)
    first = statement_of(last_days(45, 31))
    Statement.objects.all().delete()
    before = str(Settings.load().installation)
    Settings.objects.update(installation="11111111-1111-4111-8111-111111111111")
    second = statement_of(last_days(45, 31))
    assert (second.number, content(second)["previous"]) == (1, None)
    assert content(second)["not_in_chain"] == [
        {"installation": before, "number": 1, "digest": first.digest}
    ]


def test_statements_of_an_earlier_key_come_back_where_a_later_one_names_them(
    task, shop_all, key, month, last_days, tmp_path, settings
):
    stage(shop_all, "balances", [("4100", 5)])
    move()
    month(40)
    made = [statement_of(last_days(45, 31)) for _number in range(2)]
    settings.STATEMENT_KEY = str(tmp_path / "new.pem")
    write_new_key(settings.STATEMENT_KEY)
    made.append(statement_of(last_days(45, 31)))
    Statement.objects.all().delete()
    fourth = statement_of(last_days(45, 31))
    assert (fourth.number, content(fourth)["not_in_chain"]) == (4, [])
    digests = Statement.objects.order_by("number").values_list("digest", flat=True)
    assert [*digests] == [one.digest for one in [*made, fourth]]


@pytest.mark.parametrize("forgery", ["changed", "of another key", "of another place", "no name"])
def test_a_statement_that_somebody_has_put_into_shop_all_does_not_come_back(
    task, shop_all, key, month, last_days, tmp_path, settings, forgery
):
    stage(shop_all, "balances", [("4100", 5)])
    move()
    month(40)
    made = [statement_of(last_days(45, 31)) for _number in range(2)]
    Statement.objects.filter(number=2).delete()
    where = "where what = 'statement' and name like '000000000002 %%'"
    if forgery == "changed":
        query(
            shop_all,
            "update datatransfer.kept set content = replace(content, '\"rows\": 1', '\"rows\": 2')"
            f" {where}",
        )
    elif forgery == "of another key":
        settings.STATEMENT_KEY = str(tmp_path / "another.pem")
        write_new_key(settings.STATEMENT_KEY)
    elif forgery == "of another place":
        query(shop_all, f"update datatransfer.kept set content = %s {where}", [made[0].document])
    else:
        query(shop_all, f"update datatransfer.kept set name = 'x', content = '[' {where}")
    third = statement_of(last_days(45, 31))
    assert third.number == 2
    named = content(third)["not_in_chain"]
    assert [one["number"] for one in named] == ([] if forgery == "no name" else [2])
    assert Document.read(third.document.encode())


@pytest.mark.parametrize(
    "forgery",
    [
        "content = '{}'",
        "content = jsonb_set(content::jsonb, '{applied}', '9223372036854775808')::text",
        "content = jsonb_set(content::jsonb, '{amount_applied}', '\"Infinity\"')::text",
        "content = jsonb_set(content::jsonb, '{amount_lost}', '\"1e200000\"')::text",
        "content = jsonb_set(content::jsonb, '{noted_at}', '\"yesterday\"')::text",
        "content = jsonb_set(content::jsonb, '{position}', '{}')::text",
        "name = name || '9223372036854775808'",
        "name = name || ' 1'",
    ],
)
def test_a_day_that_somebody_has_put_into_shop_all_is_left_out(
    dock, bonus, shop_all, own, forgery, caplog
):
    dock(bonus)
    move()
    place = own.copy()
    stage(shop_all, "balances", [("4100", 5)])
    move()
    exchange(shop_all)
    query(shop_all, f"update datatransfer.kept set {forgery} where what = 'server_day'")
    own.restore(place)
    move()
    (day,) = ServerDay.objects.filter(kind="balances")
    assert day.applied == 1
    assert "a row that another program wrote" in caplog.text


def test_a_transfer_does_not_stop_because_its_days_cannot_be_taken_back(
    dock, bonus, shop_all, caplog
):
    dock(bonus)
    move()
    ServerDay.objects.all().delete()
    query(shop_all, "alter table datatransfer.kept rename to lost")
    stage(shop_all, "balances", [("4100", 5)])
    assert move().state == "succeeded"
    assert ServerDay.objects.get(kind="balances").applied == 1
    assert "not_initialised" in caplog.text


def test_days_of_a_server_that_another_one_has_replaced_do_not_become_its_own(
    dock, bonus, second_bonus, shop_all, own, month
):
    place = own.copy()
    dock(bonus)
    stage(shop_all, "balances", [("4100", 5)])
    move()
    month(40)
    exchange(shop_all)
    own.restore(place)
    dock(second_bonus)  # with the number of the first one
    move()
    (day,) = ServerDay.objects.filter(kind="balances")
    assert day.applied == 1
