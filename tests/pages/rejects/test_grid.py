"""Rejected rows with different values, corrected in a table and sent at one press."""

import re
import threading

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from tests.databases import query
from tests.pages.look import once_more, words
from tests.records import a_reject, server, user
from transfer.models import AuditEntry, RejectedRow
from transfer.models.run_base import Trigger
from transfer.pages.rejects import grid
from transfer.runs.execute import run_here

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("operator")]

URL = "/rejects/grid/"
DECIMALS = f"{URL}?kind=balances&code=amount_decimals"
SUMS = 'select account, amount::text from "changeAccountBalanceTemp" order by id'


def fields_of(response) -> dict[str, list[str]]:
    """What the browser would post of the grid, as the page has filled it in."""
    data = {"row": []}
    for section in response.context["sections"]:
        for form in section.forms:
            data["row"].append(str(form.reject.pk))
            for field in form:
                data[field.html_name] = field.value() or ""
                if field.field.show_hidden_initial:
                    data[field.html_initial_name] = form.data[field.html_initial_name]
    return data


def three(rejected):
    return rejected("balances", ("4100", "250.549"), ("4200", "-0.005"), ("4300", "0.001"))


def test_every_row_has_its_own_suggestion_and_all_are_sent_at_one_press(client, rejected, shop_all):
    three(rejected)
    page = client.get(DECIMALS)
    assert "Round to kopecks: was 250.549, becomes 250.55" in words(page)
    assert "was -0.005, becomes -0.01" in words(page)
    assert "was 0.001" not in words(page)  # it would become empty
    answer = client.post(DECIMALS, fields_of(page), follow=True)
    assert "2 rows are staged again" in words(answer)
    assert query(shop_all, SUMS)[3:] == [("4200", "-0.01"), ("4100", "250.55")]
    assert [one.payload["account"] for one in RejectedRow.objects.open()] == ["4300"]


def test_all_rows_of_a_reason_are_rounded_at_once_after_a_question(
    client, rejected, shop_all, monkeypatch
):
    monkeypatch.setattr(grid, "AT_ONCE", 2)
    three(rejected)
    page = words(client.get(DECIMALS))
    assert page.index("2 rows on this page") < page.index("<table")
    assert "1 more row follows after these." in page
    assert page.index("Check and send the corrected rows") < page.index("<table")
    address = re.search('id="for-all" href="([^"]+)">Round all 3 and send…<', page)[1]
    address = address.replace("&amp;", "&")
    question = client.get(address)
    assert "Round 3 rows to kopecks and send them again?" in words(question)
    assert "was 250.549, becomes 250.55" in words(question)
    assert query(shop_all, SUMS)[3:] == []
    answer = client.post(address, once_more(question), follow=True)
    assert "2 rows are staged again" in words(answer)
    assert sorted(query(shop_all, SUMS)[3:]) == [("4100", "250.55"), ("4200", "-0.01")]


def test_rows_of_several_reasons_are_not_repaired_all_at_once(client, rejected):
    rejected("balances", ("4100", "250.549"), ("4200", 0), ("4300", "1.234"))
    assert "for-all" not in words(client.get(f"{URL}?kind=balances"))
    assert "for-all" in words(client.get(DECIMALS))


def test_amounts_have_the_comma_of_the_language(client, rejected, shop_all):
    three(rejected)
    client.cookies["django_language"] = "ru"
    page = client.get(DECIMALS)
    assert 'value="250,55"' in words(page)
    client.post(DECIMALS, fields_of(page))
    assert ("4100", "250.55") in query(shop_all, SUMS)


def test_what_cannot_be_sent_stays_with_what_was_typed_and_the_others_are_sent(
    client, rejected, shop_all
):
    one, _two, three_ = three(rejected)
    data = fields_of(client.get(DECIMALS))
    data |= {f"r{one.pk}-amount": "12,345", f"r{three_.pk}-amount": "a lot"}
    answer = client.post(DECIMALS, data)
    assert answer.status_code == 422
    page = words(answer)
    assert "1 row is staged again" in page
    assert "Not sent: 2 rows." in page
    assert 'value="12,345"' in page
    assert "The amount has more than two decimals." in page
    assert "This is not a number." in page
    assert query(shop_all, SUMS)[3:] == [("4200", "-0.01")]
    data = fields_of(answer)
    assert data["row"] == [str(three_.pk), str(one.pk)]
    data |= {f"r{one.pk}-amount": "12.34", f"r{three_.pk}-amount": "1"}
    client.post(DECIMALS, data)
    assert query(shop_all, SUMS)[4:] == [("4300", "1"), ("4100", "12.34")]
    assert not RejectedRow.objects.open().exists()


def test_rows_in_which_nothing_was_changed_are_not_sent(client, rejected, shop_all):
    """Also where the checks would take them: the user has said nothing about them."""
    rejected("cards", ("7001", None, 2), ("7002", None, 2))
    address = f"{URL}?kind=cards"
    page = client.get(address)
    answer = client.post(address, fields_of(page), follow=True)
    assert "Nothing was corrected, so nothing was sent." in words(answer)
    assert query(shop_all, 'select count(*) from "changeCardAccountTemp"') == [(2,)]
    assert RejectedRow.objects.open().count() == 2


def test_a_status_that_there_is_not_is_no_correction(client, rejected, shop_all):
    (one,) = rejected("cards", ("7001", "4100", 7))
    address = f"{URL}?kind=cards"
    page = client.get(address)
    assert fields_of(page)[f"r{one.pk}-status"] == "7"
    client.post(address, fields_of(page))
    assert RejectedRow.objects.open().exists()
    client.post(address, fields_of(page) | {f"r{one.pk}-status": "3"})
    rows = query(shop_all, 'select card, account, status from "changeCardAccountTemp" order by id')
    assert rows[1:] == [("7001", "4100", 3)]


def test_a_second_press_and_a_page_that_back_brings_again_send_nothing(client, rejected, shop_all):
    three(rejected)
    data = fields_of(client.get(DECIMALS))
    client.post(DECIMALS, data)
    sent = query(shop_all, SUMS)
    answer = client.post(DECIMALS, data, follow=True)
    assert "2 rows were closed in the meantime: they are not sent again." in words(answer)
    assert query(shop_all, SUMS) == sent
    assert len(sent) == 5


@pytest.mark.django_db(transaction=True)
def test_two_operators_who_press_at_once_send_each_row_once(client, rejected, shop_all):
    rejected("balances", *[(f"41{n:02}", f"{n}.001") for n in range(1, 9)])
    data = fields_of(client.get(DECIMALS))
    answers = []

    def press(name):
        other = Client()
        other.force_login(user("operator", name))
        start.wait()
        answers.append(other.post(DECIMALS, data).status_code)
        connection.close()

    start = threading.Barrier(3)
    pressing = [threading.Thread(target=press, args=[name]) for name in ("anna", "boris")]
    for one in pressing:
        one.start()
    start.wait()
    for one in pressing:
        one.join()
    assert answers == [302, 302]
    assert sorted(query(shop_all, SUMS)[8:]) == [(f"41{n:02}", f"{n}.00") for n in range(1, 9)]
    assert not RejectedRow.objects.open().exists()


def test_a_row_that_two_servers_have_rejected_is_sent_once_to_both(client, at_two, shop_all):
    at_two("balances", ("4100", "250.549"))
    page = client.get(DECIMALS)
    assert len(fields_of(page)["row"]) == 1
    client.post(DECIMALS, fields_of(page))
    assert query(shop_all, SUMS)[1:] == [("4100", "250.55")]
    assert not RejectedRow.objects.open().exists()


def test_a_forged_amount_is_never_sent(client, rejected, bonus, shop_all):
    """What a bonus server says of the row is shown; shop All rounds the amount that it has."""
    (one,) = rejected("balances", ("4100", "1.239"))
    one.payload |= {"amount": "999999.999"}
    one.save()
    client.post(DECIMALS, fields_of(client.get(DECIMALS)))
    assert query(shop_all, SUMS)[1:] == [("4100", "1.24")]


class TestPinCodes:
    @pytest.fixture
    def two(self, rejected):
        return rejected("pincodes", ("41 00", "47110815"), ("4200", ""))

    def test_are_typed_and_never_shown(self, client, two, shop_all):
        _spaces, missing = two
        page = client.get(f"{URL}?kind=pincodes")
        assert "47110815" not in words(page)
        pin = f"r{missing.pk}-pincode"
        data = fields_of(page) | {pin: "90210777", f"r{missing.pk}-account": "x" * 101}
        answer = client.post(f"{URL}?kind=pincodes", data)
        assert answer.status_code == 422
        assert "90210777" not in words(answer)
        assert f'type="password" name="{pin}"' in words(answer)
        data = fields_of(answer) | {pin: "90210777", f"r{missing.pk}-account": "4200"}
        client.post(f"{URL}?kind=pincodes", data)
        rows = query(shop_all, 'select account, pincode from "accountpincodeTemp" order by id')
        assert rows[2:] == [("4100", "47110815"), ("4200", "90210777")]
        noted = str([(one.old, one.new) for one in AuditEntry.objects.all()])
        assert "90210777" not in noted
        assert "47110815" not in noted

    def test_a_row_keeps_its_own_when_none_is_typed(self, client, two, shop_all):
        page = client.get(f"{URL}?kind=pincodes&code=account_has_spaces")
        assert 'type="password"' not in words(page)
        client.post(f"{URL}?kind=pincodes", fields_of(page))
        rows = query(shop_all, 'select account, pincode from "accountpincodeTemp" order by id')
        assert rows[2:] == [("4100", "47110815")]


class TestWhatIsChosen:
    def test_of_several_transfers_there_is_a_table_for_each(self, client):
        eight = server()
        a_reject(eight), a_reject(eight, "cards"), a_reject(eight, "pincodes")
        page = client.get(URL)
        kinds = [section.kind.name for section in page.context["sections"]]
        assert kinds == ["pincodes", "balances", "cards"]

    def test_the_filter_of_the_list_is_there_again_afterwards(self, client, rejected):
        rows = three(rejected)
        listed = client.get(reverse("rejects"), {"kind": "balances", "q": "4100"})
        (group,) = listed.context["groups"]
        address = f"{URL}?{group['acting']}"
        assert address.replace("&", "&amp;") in words(listed)
        page = client.get(address)
        assert 'href="/rejects/?kind=balances&amp;q=4100"' in words(page)
        answer = client.post(address, fields_of(page))
        assert answer.url == "/rejects/?kind=balances&q=4100"
        address = f"{URL}?id={rows[2].pk}&next=%2Frejects%2F%3Fkind%3Dbalances"
        data = fields_of(client.get(address)) | {f"r{rows[2].pk}-amount": "5"}
        assert client.post(address, data).url == "/rejects/?kind=balances"

    def test_the_rows_that_no_page_holds_follow(self, client, rejected, monkeypatch):
        monkeypatch.setattr(grid, "AT_ONCE", 2)
        three(rejected)
        page = client.get(DECIMALS)
        assert "1 more row follows after these." in words(page)
        data = fields_of(page) | {f"r{n}-amount": "5" for n in fields_of(page)["row"]}
        answer = client.post(DECIMALS, data)
        assert answer.url == DECIMALS
        assert len(fields_of(client.get(DECIMALS))["row"]) == 1

    def test_nothing_chosen_is_said(self, client):
        answer = client.get(f"{URL}?id=", follow=True)
        assert "No open row is chosen" in words(answer)


def test_a_staging_database_that_does_not_answer_is_asked_once_and_everything_stays(
    client, rejected, settings, shop_all
):
    three(rejected)
    data = fields_of(client.get(DECIMALS))
    settings.SHOP_ALL_DATABASE_URL = "host=127.0.0.1 port=1 dbname=x"
    answer = client.post(DECIMALS, data)
    assert answer.status_code == 422
    assert "The database of shop All does not answer" in words(answer)
    assert len(fields_of(answer)["row"]) == 3
    assert RejectedRow.objects.open().count() == 3


def test_a_row_that_shop_all_refuses_does_not_stop_the_others(client, rejected, shop_all):
    query(
        shop_all,
        'alter table "changeAccountBalanceTemp" add constraint small check (amount < 1000) '
        "not valid",
    )
    one, _two, _three = three(rejected)
    data = fields_of(client.get(DECIMALS)) | {f"r{one.pk}-amount": "2000"}
    answer = client.post(DECIMALS, data)
    assert answer.status_code == 422
    assert query(shop_all, SUMS)[3:] == [("4200", "-0.01")]
    client.post(DECIMALS, data | {f"r{one.pk}-amount": "999"})
    assert query(shop_all, SUMS)[4:] == [("4100", "999")]


def test_the_new_rows_arrive_where_the_old_ones_were_rejected(client, rejected, bonus):
    one, *_others = three(rejected)
    client.post(DECIMALS, fields_of(client.get(DECIMALS)))
    run_here(one.server.tasks.get(kind="balances"), Trigger.MANUAL)
    rows = query(bonus, "select account, amount::text from asset order by account")
    assert rows == [("4100", "250.55"), ("4200", "-0.01")]
