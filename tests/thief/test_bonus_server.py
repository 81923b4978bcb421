"""A bonus server that writes into its own tables what no transfer has written."""

import json

import pytest
from django.urls import reverse

from tests.databases import query, stage
from tests.pages.look import words
from tests.records import user
from transfer.models import BonusServer, RejectedRow, TransferTask
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_english")]

FORGED = {"account": "66 66", "amount": "1000000.00", "comment": "stolen"}


@pytest.fixture
def operator(client, settings):
    settings.LANGUAGE_CODE = "en"
    client.force_login(user("operator", "olga"))
    return client


@pytest.fixture
def thief(dock, bonus):
    return dock(bonus, "Thief")


@pytest.fixture
def honest(dock, second_bonus):
    return dock(second_bonus, "Honest")


def move(*servers: BonusServer):
    for server in servers:
        run_here(server.tasks.get(kind="balances"), Trigger.MANUAL)


def landed(dsn):
    return query(dsn, "select account, amount::int, comment from asset order by amount")


def forge_payload(bonus, **values):
    """The thief writes over the row that it has rejected; our database lost it, and pulls it."""
    query(bonus, "update datatransfer.reject set payload = %s", [json.dumps(FORGED | values)])
    RejectedRow.objects.all().delete()
    TransferTask.objects.update(mirrored_number=0, mirrored_token=None)


def forge_reject(bonus, shop_all, code="account_has_spaces", payload=FORGED):
    """The thief says that it has rejected row 1, which it has taken."""
    query(
        bonus,
        "insert into datatransfer.reject (reader, number, origin, kind, xid, staging_id, code, "
        "payload) select reader, 1, origin, kind, %s, 1, %s, %s from datatransfer.position "
        "where kind = 'balances'",
        [*query(shop_all, 'select xid::text from "changeAccountBalanceTemp"')[0], code,
         json.dumps(payload)],
    )  # fmt: skip


@pytest.mark.parametrize("press", ["alone", "many", "spaces", "all the spaces", "table"])
def test_a_forged_row_is_never_written(
    thief, honest, bonus, second_bonus, shop_all, operator, press
):
    """The true row has an account with a space, and both servers have rejected it."""
    stage(shop_all, "balances", [("41 00", 7)])
    move(thief, honest)
    forge_payload(bonus)
    move(thief, honest)
    one = RejectedRow.objects.get(server=thief)
    assert one.payload["account"] == "66 66"
    if press == "alone":
        form = operator.get(one.get_absolute_url()).context["form"]
        shown = {name: form[name].value() or "" for name in ("account", "amount", "comment")}
        hidden = {f"initial-{name}": value for name, value in shown.items()}
        address = reverse("reject_resend", args=[one.pk])
        operator.post(address, {**shown, **hidden, "account": "4100"})
    elif press == "spaces":
        operator.post(reverse("reject_resend", args=[one.pk]), {"fix": "spaces"})
    elif press == "table":
        address = f"{reverse('rejects_grid')}?id={one.pk}"
        (section,) = operator.get(address).context["sections"]
        (field,) = section.forms[0]
        assert field.value() == "6666"  # the suggestion, which stays as it is
        shown = {field.html_name: "6666", field.html_initial_name: "66 66", "row": one.pk}
        operator.post(address, shown)
    elif press == "many":
        operator.post(f"{reverse('rejects_resend')}?id={one.pk}", {"account": "4100"})
    else:
        operator.post(f"{reverse('rejects_resend')}?id={one.pk}&fix=spaces")
    move(thief, honest)
    assert landed(bonus) == landed(second_bonus) == [("4100", 7, None)]


@pytest.mark.parametrize("code", ["account_has_spaces", "refused_by_server"])
def test_a_row_that_others_have_taken_is_not_credited_to_them_again(
    thief, honest, bonus, second_bonus, shop_all, operator, code
):
    stage(shop_all, "balances", [("4100", 7)])
    move(thief, honest)
    forge_reject(bonus, shop_all, code)
    move(thief)
    TransferTask.objects.update(mirrored_at=None)
    stage(shop_all, "balances", [("4200", 8)])
    move(thief)
    one = RejectedRow.objects.get()
    operator.post(reverse("reject_resend", args=[one.pk]), {"fix": "spaces"})
    one.refresh_from_db()
    assert one.state == RejectedRow.State.RESENT
    move(thief, honest)
    assert landed(second_bonus) == [("4100", 7, None), ("4200", 8, None)]
    assert all(amount < 10 for _, amount, _ in landed(bonus))


def test_a_row_that_is_gone_is_sent_with_typed_values_to_the_server_that_rejected_it(
    thief, honest, bonus, second_bonus, shop_all, operator
):
    query(bonus, "alter table asset add constraint small check (amount < 100)")
    stage(shop_all, "balances", [("4100", 700)])
    move(thief, honest)
    forge_payload(bonus, account="6666")
    move(thief)
    query(shop_all, 'delete from "changeAccountBalanceTemp"')
    one = RejectedRow.objects.get()
    address = reverse("reject_resend", args=[one.pk])
    answer = operator.post(address, {"account": "6666", "amount": "99", "initial-account": "6666"})
    assert answer.status_code == 422
    page = words(answer)
    assert "The rejected row is no longer in shop All." in page
    assert 'value="6666"' not in page
    assert 'name="row_is_gone" value="on"' in page
    operator.post(address, {"account": "4100", "amount": "99", "row_is_gone": "on"})
    move(thief, honest)
    assert landed(bonus) == [("4100", 99, None)]
    assert landed(second_bonus) == [("4100", 700, None)]
