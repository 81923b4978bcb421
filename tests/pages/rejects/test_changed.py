"""Rows that were changed after their transfer: page, decisions, overview and command."""

import json
import re

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from tests.databases import query
from transfer.engine.kinds import BALANCES, PINCODES
from transfer.models import AuditEntry, BonusServer, RecurringJob, TransferRun, TransferTask
from transfer.problems.find import problems
from transfer.problems.kinds import Code
from transfer.runs import recurring
from transfer.runs.execute import run_here

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_english")]


@pytest.fixture
def operator(docked, log_in):
    return log_in("operator")


def move(kind):
    run = run_here(TransferTask.objects.get(kind=kind), TransferRun.Trigger.MANUAL)
    assert run.error_code == "", run.error_params
    return run.applied


def change(shop_all, kind, values, change):
    """Stages a row, moves it, and changes it."""
    columns, texts = ", ".join(values), ", ".join(f"'{one}'" for one in values.values())
    query(shop_all, f'insert into "{kind.staging}" ({columns}) values ({texts})')
    assert move(kind.name) == 1
    query(shop_all, f'update "{kind.staging}" set {change}')


@pytest.fixture
def pin(shop_all, docked):
    change(shop_all, PINCODES, {"account": "4100", "pincode": "1111"}, "pincode = '739281'")


@pytest.fixture
def amount(shop_all, docked):
    change(shop_all, BALANCES, {"account": "4100", "amount": "5"}, "amount = 7")


def rows_of(statement):
    """What the docked server has."""
    return query(BonusServer.objects.get().dsn, statement)


def link(page, decision):
    """The address of the question about the first row."""
    found = re.search(f'href="([^"]*decision={decision}&amp;row=[^"]*)"', page)
    assert found, page
    return found[1].replace("&amp;", "&")


@pytest.mark.usefixtures("pin")
def test_the_page_lists_the_row_but_never_the_pin(operator):
    page = operator.get(reverse("changed")).content.decode()
    assert "4100" in page
    assert "739281" not in page


@pytest.mark.usefixtures("docked")
def test_a_row_that_no_server_has_read_yet_is_not_listed(operator, shop_all, amount):
    call_command("changed_rows", "--decide", "leave")
    query(shop_all, f"insert into \"{BALANCES.staging}\" (account, amount) values ('4200', 5)")
    query(shop_all, f"update \"{BALANCES.staging}\" set amount = 6 where account = '4200'")
    assert "No row waits for a decision" in operator.get(reverse("changed")).content.decode()


@pytest.mark.usefixtures("pin")
def test_a_pin_is_sent_again_from_the_page(operator):
    page = operator.get(reverse("changed")).content.decode()
    address = link(page, "send")
    assert "overrides later ones" in operator.get(address).content.decode()
    answer = operator.post(address, follow=True).content.decode()
    assert "1 row is staged again." in answer
    assert "No row waits for a decision" in answer
    assert move("pincodes") == 1
    assert rows_of("select pincode from pincode") == [("739281",)]
    entry = AuditEntry.objects.get(action="changed")
    assert (entry.new["decision"], entry.new["rows"]) == ("send", 1)


@pytest.mark.usefixtures("amount")
def test_the_difference_of_an_amount_is_sent_and_nobody_types_it(operator):
    page = operator.get(reverse("changed")).content.decode()
    assert "Amount before" in page
    address = link(page, "send")
    assert "adds the difference" in operator.get(address).content.decode()
    assert operator.post(address).status_code == 302
    assert move("balances") == 1
    assert rows_of("select amount::int from asset order by 1") == [(2,), (5,)]
    assert "No row waits for a decision" in operator.get(reverse("changed")).content.decode()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ("account = '4200'", "can&#x27;t be moved from one account to another"),
        ("validto = '2030-01-01'", "Only the time in which the amount counts was changed."),
        ("amount = 'NaN'", "The present values fail a check"),
    ],
)
def test_what_cannot_be_sent_says_why_and_can_be_left(operator, shop_all, values, sentence):
    change(shop_all, BALANCES, {"account": "4100", "amount": "5"}, values)
    page = operator.get(reverse("changed")).content.decode()
    assert sentence in page
    assert "decision=send" not in page
    operator.post(link(page, "leave"))
    assert "No row waits for a decision" in operator.get(reverse("changed")).content.decode()


@pytest.mark.usefixtures("amount")
def test_a_table_that_takes_no_second_row_says_that_nothing_can_be_sent(operator, shop_all):
    cache.clear()
    query(shop_all, f'create unique index by_account on "{BALANCES.staging}" (account)')
    page = operator.get(reverse("changed")).content.decode()
    cache.clear()
    assert "by_account forbids it" in page
    assert "decision=send" not in page
    assert "decision=leave" in page


@pytest.mark.usefixtures("amount")
def test_all_that_can_be_sent_are_sent_at_one_press(operator, shop_all):
    change(shop_all, BALANCES, {"account": "4200", "amount": "5"}, "amount = 9, comment = 'x'")
    query(shop_all, f"update \"{BALANCES.staging}\" set account = '4300' where account = '4200'")
    address = f"{reverse('changed_decide')}?kind=balances&decision=send"
    assert "stay in the list" in operator.get(address).content.decode()
    assert "1 row is staged again." in operator.post(address, follow=True).content.decode()
    assert move("balances") == 1
    assert rows_of("select account, amount::int from asset order by id") == [
        ("4100", 5),
        ("4200", 5),
        ("4100", 4),
    ]


@pytest.mark.usefixtures("amount")
def test_to_leave_it_stages_nothing(operator):
    page = operator.get(reverse("changed")).content.decode()
    answer = operator.post(link(page, "leave"), follow=True).content.decode()
    assert "1 row stays as it is." in answer
    assert move("balances") == 0


@pytest.mark.usefixtures("amount")
def test_a_decision_about_a_row_that_changed_again_does_nothing(operator, shop_all):
    page = operator.get(reverse("changed")).content.decode()
    query(shop_all, f'update "{BALANCES.staging}" set amount = 8')
    answer = operator.post(link(page, "leave"), follow=True).content.decode()
    assert "changed again, in the meantime" in answer
    assert "4100" in answer


@pytest.mark.usefixtures("amount")
@pytest.mark.parametrize(
    "asked", ["kind=balances&decision=send&row=5", "kind=x&decision=leave", ""]
)
def test_what_is_no_decision_leads_back_to_the_list(operator, asked):
    answer = operator.get(f"{reverse('changed_decide')}?{asked}", follow=True)
    assert "Choose a row of the list." in answer.content.decode()


@pytest.mark.usefixtures("amount")
def test_the_overview_counts_them_until_they_are_decided_on(operator):
    def found():
        kind, now = RecurringJob.Kind.CHECK_CHANGES, timezone.now()
        job, _ = RecurringJob.objects.update_or_create(kind=kind, defaults={"due_at": now})
        job.do(lambda: recurring.work(job, None))
        return [one for one in problems() if one.code == Code.CHANGED]

    (problem,) = found()
    assert problem.sentence == "Rows changed after their transfer: 1"
    assert problem.url == reverse("changed")
    assert "Rows changed after their transfer: 1" in operator.get("/").content.decode()
    call_command("changed_rows", "--decide", "leave")
    assert found() == []


@pytest.mark.usefixtures("amount")
class TestTheCommand:
    def test_it_lists_and_sends_an_amount(self, capsys):
        call_command("changed_rows", "--json")
        listed = json.loads(capsys.readouterr().out)
        assert (listed["kind"], listed["values"]["amount"]) == ("balances", "7")
        assert (listed["row"], listed["before"]) == ("1-1", "5")
        call_command(*("changed_rows", "--kind", "balances", "--row", "1-1", "--decide", "send"))
        assert move("balances") == 1
        assert rows_of("select amount::int from asset order by 1") == [(2,), (5,)]

    def test_it_lists_in_words_why_a_row_cannot_be_sent(self, shop_all, capsys):
        query(shop_all, f"update \"{BALANCES.staging}\" set account = '4200'")
        call_command("changed_rows")
        out = capsys.readouterr().out
        assert "row 1-1: account 4200, amount 7; amount before 5" in out
        assert "can't be moved from one account to another" in out
        with pytest.raises(CommandError, match="can't be sent"):
            call_command("changed_rows", "--row", "1-1", "--decide", "send")

    @pytest.mark.parametrize(
        ("row", "sentence"), [("5", "a number such as"), ("7-7", "No row 7-7 waits")]
    )
    def test_it_refuses_a_row_that_is_none(self, row, sentence):
        with pytest.raises(CommandError, match=sentence):
            call_command("changed_rows", "--row", row, "--decide", "send")


@pytest.mark.usefixtures("pin")
def test_it_sends_a_pin_as_it_is_now(shop_all):
    call_command("changed_rows", "--decide", "send")
    assert move("pincodes") == 1
    assert rows_of("select pincode from pincode") == [("739281",)]
