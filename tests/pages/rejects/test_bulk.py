"""Many rejected rows at once."""

import pytest
from django.urls import reverse

from tests.databases import query
from tests.pages.look import once_more, words
from tests.records import a_reject
from transfer.models import AuditEntry, RejectedRow
from transfer.pages.rejects import bulk

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("operator")]


def test_chosen_ones_are_sent_with_the_same_correction(client, rejected, shop_all):
    one, two, three = rejected("balances", ("4100", 0), ("4200", 0), ("4300", 0))
    address = f"{reverse('rejects_resend')}?id={one.pk}&id={three.pk}"
    assert "Send 2 rows again?" in words(client.get(address))
    client.post(address, {"amount": "7"})
    rows = query(
        shop_all,
        'select account, amount::int from "changeAccountBalanceTemp" order by id offset 3',
    )
    assert rows == [("4100", 7), ("4300", 7)]
    assert list(RejectedRow.objects.open()) == [two]


def test_all_of_a_reason_are_sent_as_they_came_and_what_still_fails_is_told(client, rejected):
    rejected("balances", ("4100", 0), ("", 5))
    address = f"{reverse('rejects_resend')}?kind=balances&code=amount_zero"
    response = client.post(address, {}, follow=True)
    assert "Not sent, 1 row: The amount is zero." in words(response)
    assert RejectedRow.objects.open().count() == 2


def test_all_of_a_reason_are_discarded(client, eight):
    a_reject(eight), a_reject(eight), a_reject(eight, "cards")
    address = f"{reverse('rejects_discard')}?kind=balances&code=amount_zero"
    assert "The amount is zero. (2)" in words(client.get(address))
    assert RejectedRow.objects.open().count() == 3
    client.post(address, {"reason": "zeros"})
    assert [one.kind for one in RejectedRow.objects.open()] == ["cards"]
    entry = AuditEntry.objects.get()
    assert (entry.new, entry.reason) == ({"rows": 2}, "zeros")


def test_the_filter_of_the_list_is_there_again_after_the_action(client, eight):
    one, listed = a_reject(eight), "/rejects/?kind=balances&q=4"
    way_back = "next=%2Frejects%2F%3Fkind%3Dbalances%26q%3D4"
    address = f"{reverse('rejects_discard')}?id={one.pk}&{way_back}"
    assert f'href="{listed.replace("&", "&amp;")}"> Cancel' in words(client.get(address))
    assert client.post(address, {"reason": "zeros"}).url == listed
    elsewhere = f"{reverse('rejects_discard')}?id=&next=https://evil.example/"
    assert client.get(elsewhere).url == "/rejects/"


def test_several_transfers_at_once_have_no_field_in_common(client, eight):
    a_reject(eight), a_reject(eight, "cards")
    assert client.get(reverse("rejects_resend")).context["form"] is None


def test_what_was_rejected_since_the_question_is_left_alone(client, eight):
    a_reject(eight)
    asked = once_more(client.get(reverse("rejects_discard")))
    late = a_reject(eight)
    client.post(reverse("rejects_discard"), {"reason": "zeros"} | asked)
    assert list(RejectedRow.objects.open()) == [late]


@pytest.mark.parametrize("name", ["rejects_resend", "rejects_discard"])
def test_more_than_one_press_takes_is_said_and_the_rest_stays(client, rejected, monkeypatch, name):
    monkeypatch.setattr(bulk, "AT_MOST", 2)
    rejected("balances", *[("4100", 0)] * 3)
    page = client.get(reverse(name))
    assert "At most 2 rows at a time" in words(page)
    data = {"reason": "zeros", "amount": "5"} | once_more(page)
    client.post(reverse(name), data)
    assert RejectedRow.objects.open().count() == 1


def test_rows_that_several_servers_have_rejected_are_one_row_and_closed_for_all(client, at_two):
    rows = at_two("balances", ("4100", 0), ("4200", 0))
    for name, question in (("rejects_resend", "Send 2 rows again?"),
                           ("rejects_discard", "Discard 2 rows?")):  # fmt: skip
        assert question in words(client.get(reverse(name)))
    address = f"{reverse('rejects_discard')}?id={rows[0].pk}"
    client.post(address, {"reason": "zeros"})
    assert set(RejectedRow.objects.open().values_list("row", flat=True)) == {2}
    assert AuditEntry.objects.get().subject_params["kind"] == "balances"
    client.post(reverse("rejects_resend"), {"amount": "7"})
    assert not RejectedRow.objects.open().exists()


def test_with_nothing_ticked_nothing_is_chosen_and_all_that_match_are_by_a_choice_of_its_own(
    client, eight
):
    a_reject(eight), a_reject(eight, "cards")
    for name in ("rejects_resend", "rejects_discard"):
        response = client.get(f"{reverse(name)}?id=", follow=True)
        assert "No open row is chosen" in words(response)
    address = f"{reverse('rejects_discard')}?id=&all=kind%3Dcards"
    assert "Discard 1 row?" in words(client.get(address))
    client.post(address, {"reason": "zeros"})
    assert [one.kind for one in RejectedRow.objects.open()] == ["balances"]


def test_spaces_are_removed_from_all_of_a_reason_at_one_press(client, rejected, shop_all):
    rejected("pincodes", ("41 00", "47110815"), ("\u00a04200", "47120815"), ("4300", ""))
    page = words(client.get(reverse("rejects")))
    assert page.count("fix=spaces") == 1
    address = f"{reverse('rejects_resend')}?kind=pincodes&code=account_has_spaces&fix=spaces"
    response = client.post(address, follow=True)
    assert "2 rows are staged again" in words(response)
    rows = query(shop_all, 'select account, pincode from "accountpincodeTemp" order by id offset 3')
    assert rows == [("4100", "47110815"), ("4200", "47120815")]
    assert [one.code for one in RejectedRow.objects.open()] == ["pin_missing"]
    assert "47110815" not in str(AuditEntry.objects.latest("pk").new)


def test_a_staging_database_that_does_not_answer_is_said_in_plain_words(client, eight, settings):
    settings.SHOP_ALL_DATABASE_URL = "host=127.0.0.1 port=1 dbname=x"
    a_reject(eight)
    response = client.post(reverse("rejects_resend"), {"amount": "5"}, follow=True)
    assert "The database of shop All does not answer" in words(response)
    assert RejectedRow.objects.open().exists()


@pytest.mark.parametrize("number", ["9" * 30, "٣", "-1", ""])
def test_numbers_that_make_no_sense_do_no_harm(client, eight, number):
    a_reject(eight)
    response = client.get(f"{reverse('rejects_discard')}?id={number}", follow=True)
    assert "No open row is chosen" in words(response)
    client.post(reverse("rejects_discard"), {"reason": "zeros", "upto": number or "x" * 99})
