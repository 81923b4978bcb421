"""A single change by hand: the same checks as for a file, and once."""

import pytest
from django.test import Client
from django.urls import reverse

from tests.databases import query
from tests.records import server as a_server
from transfer.models import Actor, AuditEntry, Settings, Upload

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga(shop_all, operator: Client) -> Client:
    return operator


def enter(client, kind, **values):
    return client.post(reverse("entry", args=[kind]), values)


def confirm(client):
    return client.post(reverse("entry_confirm", args=[Upload.objects.get().pk]))


def test_a_balance_is_asked_for_once_more_and_then_staged(olga, shop_all):
    response = enter(olga, "balances", account="4100", amount="-1 250,50", comment="=Возврат; «x»")
    asked = olga.get(response.headers["Location"]).content.decode()
    assert "−1 250.50" in asked.replace("\u202f", " ")
    assert query(shop_all, 'select count(*) from "changeAccountBalanceTemp"') == [(0,)]
    response = confirm(olga)
    assert response.headers["Location"] == "/trace/?q=4100"
    assert query(
        shop_all, 'select account, amount::text, comment from "changeAccountBalanceTemp"'
    ) == [("4100", "-1250.50", "=Возврат; «x»")]
    entry = AuditEntry.objects.get(action="load")
    assert (entry.who, entry.new["input_method"]) == ("olga", "hand")


def test_pressed_twice_it_is_staged_once_and_entered_twice_that_is_told(olga, shop_all):
    enter(olga, "balances", account="4100", amount="5")
    confirm(olga)
    assert confirm(olga).status_code == 302
    assert query(shop_all, 'select count(*) from "changeAccountBalanceTemp"') == [(1,)]
    response = enter(olga, "balances", account="4100", amount="5")
    asked = olga.get(response.headers["Location"]).content.decode()
    assert "The same change was loaded before" in asked


def test_one_that_nobody_confirmed_in_time_leads_to_its_page(olga):
    enter(olga, "balances", account="4100", amount="5")
    Upload.objects.get().close(Upload.State.EXPIRED)
    answer = confirm(olga)
    assert answer.headers["Location"] == Upload.objects.get().get_absolute_url()


@pytest.mark.parametrize(
    ("kind", "values", "sentence"),
    [
        ("balances", {"account": "41 00", "amount": "5"}, "contains a space"),
        ("balances", {"account": "4100", "amount": "0"}, "The amount is zero."),
        ("balances", {"account": "4100", "amount": "five"}, "This is not a number."),
        ("balances", {"account": "4100", "amount": "1,234"}, "more than two decimals"),
        ("balances", {"account": "Итого", "amount": "5"}, "read as a change"),
        (
            "balances",
            {"account": "1", "amount": "5", "validfrom": "2.1.2026", "validto": "1.1.2026"},
            "ends before it begins",
        ),
        ("cards", {"card": "7001"}, "nothing to change"),
        ("cards", {"card": "70 01", "status": "1"}, "contains a space"),
    ],
)
def test_what_the_checks_find_is_said_and_nothing_is_kept(olga, kind, values, sentence):
    response = enter(olga, kind, **values)
    assert response.status_code == 422
    assert sentence in response.content.decode()
    assert not Upload.objects.exists()


def test_a_pin_code_is_never_sent_back(olga, shop_all):
    response = enter(olga, "pincodes", account="", pincode="73519")
    shown = response.content.decode()
    response = enter(olga, "pincodes", account="4100", pincode="73519")
    shown += olga.get(response.headers["Location"]).content.decode()
    confirm(olga)
    shown += repr(list(Upload.objects.values())) + repr(list(AuditEntry.objects.values()))
    assert "73519" not in shown
    assert query(shop_all, 'select pincode from "accountpincodeTemp"') == [("73519",)]


def test_a_status_alone_and_a_link_alone(olga, shop_all):
    enter(olga, "cards", card="7001", status="2")
    confirm(olga)
    assert query(shop_all, 'select card, account, status from "changeCardAccountTemp"') == [
        ("7001", None, 2)
    ]


def test_the_trace_fills_in_whom_it_is_about_but_never_a_pin(olga):
    shown = olga.get(reverse("entry", args=["pincodes"]), {"account": "4100", "pincode": "73519"})
    assert 'value="4100"' in shown.content.decode()
    assert 'value="73519"' not in shown.content.decode()


def test_an_unknown_kind_is_not_there(olga):
    assert olga.get(reverse("entry", args=["cash"])).status_code == 404


def test_a_file_is_not_confirmed_on_the_page_of_a_single_change(olga):
    upload = Upload.objects.create(kind="balances", state=Upload.State.READY, created_by="olga")
    assert olga.post(reverse("entry_confirm", args=[upload.pk])).status_code == 404


@pytest.fixture
def held(dock, bonus):
    """A docked server that holds 1 100,02 on the account 4100."""
    query(bonus, "insert into asset (account, amount) values ('4100', 1100.02)")
    return dock(bonus)


def question(olga):
    return olga.get(reverse("entry_confirm", args=[Upload.objects.get().pk]))


def test_the_confirmation_says_the_balance_before_and_after_on_each_server(olga, held):
    enter(olga, "balances", account="4100", amount="-100")
    shown = question(olga).content.decode().replace("\u202f", " ")
    assert f"{held.name}: balance 1 100.02, afterwards 1 000.02" in shown
    assert confirm(olga).status_code == 302
    assert Upload.objects.get().state == Upload.State.LOADED


def test_a_balance_below_zero_is_asked_about_once_more(olga, held, shop_all):
    enter(olga, "balances", account="4100", amount="-12345678,90")
    assert f"On {held.name} the balance goes below zero" in question(olga).content.decode()
    answer = confirm(olga)
    assert answer.status_code == 422
    assert "Confirm it, or go back" in answer.content.decode()
    assert query(shop_all, 'select count(*) from "changeAccountBalanceTemp"') == [(0,)]
    url = reverse("entry_confirm", args=[Upload.objects.get().pk])
    assert olga.post(url, {"sure": "on"}).status_code == 302
    assert query(shop_all, 'select amount::text from "changeAccountBalanceTemp"') == [
        ("-12345678.90",)
    ]


def test_an_amount_above_the_limit_of_the_settings_is_asked_about_once_more(olga):
    Settings.load().change(Actor("ivan"), large_amount=500)
    enter(olga, "balances", account="4100", amount="500,01")
    assert "The amount is larger than usual" in question(olga).content.decode()
    assert confirm(olga).status_code == 422
    assert Upload.objects.get().state == Upload.State.READY


def test_a_server_that_does_not_answer_keeps_nobody_from_confirming(olga):
    a_server()
    enter(olga, "balances", account="4100", amount="-5")
    assert "the balance is not known, it did not answer" in question(olga).content.decode()
    assert confirm(olga).status_code == 302


def test_the_question_says_that_a_second_person_has_to_approve(olga, shop_all):
    Settings.load().change(Actor("tests"), row_limit=1000)
    enter(olga, "balances", account="4100", amount="-1500")
    asked = olga.get(reverse("entry_confirm", args=[Upload.objects.get().pk])).content.decode()
    asked = asked.replace("\u202f", " ")
    assert "A second person has to approve this." in asked
    assert "The largest amount is 1 500.00, above the limit of a row, 1 000.00." in asked
    assert "Ask for approval" in asked
    assert "Make the change" not in asked
    confirm(olga)
    assert Upload.objects.get().state == Upload.State.WAITING
