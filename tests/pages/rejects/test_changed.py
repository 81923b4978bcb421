"""Rows that were changed after their transfer: page, decisions, overview and command."""

import json
import re

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from tests.databases import query
from tests.records import user
from transfer.engine.kinds import BALANCES, PINCODES
from transfer.models import AuditEntry, BonusServer, RecurringJob, TransferRun, TransferTask
from transfer.problems.codes import Code
from transfer.problems.find import problems
from transfer.runs import recurring
from transfer.runs.execute import run_here

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_english")]


@pytest.fixture
def operator(client, docked, settings):
    settings.LANGUAGE_CODE = "en"
    client.force_login(user("operator"))
    return client


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
def test_the_page_lists_the_row_and_who_had_read_it_but_never_the_pin(operator):
    page = operator.get(reverse("changed")).content.decode()
    assert "4100" in page
    assert "Бонусный сервер 8" in page
    assert "739281" not in page


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
def test_an_amount_is_typed_and_zero_is_refused(operator):
    address = link(operator.get(reverse("changed")).content.decode(), "send")
    refused = operator.post(address, {"amount": "0"})
    assert refused.status_code == 422
    assert "Enter an amount other than zero." in refused.content.decode()
    assert operator.post(address, {"amount": "2"}).status_code == 302
    assert move("balances") == 1
    assert rows_of("select amount::int from asset order by 1") == [(2,), (5,)]


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
@pytest.mark.parametrize("asked", ["kind=balances&decision=send", "kind=x&decision=leave", ""])
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
        call_command(
            *("changed_rows", "--kind", "balances", "--row", str(listed["row"])),
            *("--decide", "send", "--amount", "2"),
        )
        assert move("balances") == 1
        assert rows_of("select amount::int from asset order by 1") == [(2,), (5,)]

    def test_an_amount_must_be_given(self):
        with pytest.raises(CommandError, match="give --row and --amount"):
            call_command("changed_rows", "--decide", "send")


@pytest.mark.usefixtures("pin")
def test_a_purge_spares_what_is_undecided_and_keeps_its_pin(shop_all):
    query(shop_all, f"update \"{PINCODES.staging}\" set created_at = now() - interval '1 year'")
    rows = f'select pincode from "{PINCODES.staging}"'
    call_command("purge_staging", "--older-than", "30", "--blank-pins")
    assert query(shop_all, rows) == [("739281",)]
    call_command("changed_rows", "--decide", "leave")
    call_command("purge_staging", "--older-than", "30")
    assert query(shop_all, rows) == []
