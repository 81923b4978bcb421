from datetime import timedelta
from unittest.mock import Mock

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from tests.databases import query
from tests.pages.look import lines, send_again, words
from tests.records import CHANGESET, PAYLOADS, a_reject, a_run, server
from transfer.causes.connections import CONNECTION_LOST, UNREACHABLE
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.staging_import import StagingImport
from transfer.errors import ConnectionLost, Unreachable
from transfer.models import AuditEntry, RejectedRow
from transfer.models.run_base import Trigger
from transfer.parties import SHOP_ALL
from transfer.runs.execute import run_here

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("operator")]


def filtered(client, **filters):
    response = client.get(reverse("rejects"), filters)
    assert response.status_code == 200
    return [row.record.pk for row in response.context["table"].paginated_rows]


def test_what_the_server_has_against_a_row_is_named(client, eight):
    fields = {"code": "refused_by_server", "sqlstate": "23514", "constraint": "asset_small"}
    one = a_reject(eight, **fields)
    shown = client.get(reverse("reject", args=[one.pk])).content.decode()
    assert "23514 asset_small" in shown
    assert "table refuses the row" in shown
    assert filtered(client, code="refused_by_server") == [one.pk]


class TestTheList:
    def test_groups_by_transfer_and_reason_the_most_frequent_first(self, client, eight):
        for kind in ("cards", "balances", "cards"):
            a_reject(eight, kind)
        groups = client.get(reverse("rejects")).context["groups"]
        assert [(one["kind"], one["code"], one["rows"]) for one in groups] == [
            ("cards", "card_unknown", 2),
            ("balances", "amount_zero", 1),
        ]

    def test_offers_to_act_only_where_something_is_open(self, client, eight):
        a_reject(eight), a_reject(eight, "cards", state="discarded")
        page = words(client.get(reverse("rejects"), {"state": "all"}))
        assert page.count(f'href="{reverse("rejects_resend")}?') == 1

    def test_shows_what_is_open_unless_one_asks_for_more(self, client, eight):
        first, closed = a_reject(eight), a_reject(eight, state="discarded")
        assert filtered(client) == [first.pk]
        assert filtered(client, state="discarded") == [closed.pk]
        assert sorted(filtered(client, state="all")) == [first.pk, closed.pk]

    def test_is_filtered_by_transfer_reason_server_run_text_and_days(self, client, eight):
        nine = server("Бонусный сервер 9")
        a_reject(eight)
        one = a_reject(nine, "cards", run=a_run(nine, "cards"))
        RejectedRow.objects.exclude(pk=one.pk).update(created_at=timezone.now() - timedelta(9))
        for name, value in {
            "kind": "cards",
            "code": "card_unknown",
            "server": nine.pk,
            "run": one.run.pk,
            "q": "700",
            "since": timezone.localdate().isoformat(),
        }.items():
            assert filtered(client, **{name: value}) == [one.pk], name
        assert filtered(client, q=str(one.row)) == [one.pk]
        assert filtered(client, q=one.key.lower()) == [one.pk]

    def test_a_row_that_two_servers_have_rejected_is_one_line_with_both(self, client, at_two):
        first, other, *second = at_two("balances", ("4100", 0), ("4200", 0))
        assert filtered(client) == [other.pk, first.pk]
        page = words(client.get(reverse("rejects")))
        assert page.count(first.server_name) == page.count(second[0].server_name)
        for run in (first.run, second[0].run):
            assert page.count(f'href="{run.get_absolute_url()}"') == 2
        groups = client.get(reverse("rejects")).context["groups"]
        assert [(one["rows"], one["open"]) for one in groups] == [(2, 2)]
        assert set(filtered(client, server=second[0].server.pk)) == {one.pk for one in second}
        assert set(filtered(client, run=second[0].run.pk)) == {one.pk for one in second}

    def test_a_row_is_found_by_days_on_which_only_the_second_server_rejected_it(
        self, client, at_two
    ):
        first, second = at_two("balances", ("4100", 0))
        RejectedRow.objects.filter(pk=first.pk).update(created_at=timezone.now() - timedelta(9))
        assert filtered(client, since=timezone.localdate().isoformat()) == [second.pk]

    def test_filters_that_make_no_sense_do_no_harm(self, client, eight):
        one = a_reject(eight)
        assert filtered(client, kind="x", state="x", server="x", run="x", since="x") == [one.pk]
        assert filtered(client, q="%_\\'\"" * 9) == []

    def test_an_empty_list_says_why(self, client, eight):
        assert "No row has been rejected" in words(client.get(reverse("rejects")))
        a_reject(eight, state="discarded")
        assert "Nothing is left to do" in words(client.get(reverse("rejects")))


class TestOneRow:
    def test_shows_it_as_it_came_why_and_what_to_do(self, client, rejected):
        (one,) = rejected("balances", ("4100 ", 5))
        page = words(client.get(one.get_absolute_url()))
        assert "The account contains a space" in page
        assert "often it came along when the number was copied" in page
        assert ">4100 </code>" in page

    def test_an_amount_has_the_decimal_comma_of_russian(self, client, eight):
        one = a_reject(eight, payload=PAYLOADS["balances"] | {"amount": "250.552"})
        client.cookies["django_language"] = "ru"
        for url in (reverse("rejects"), one.get_absolute_url()):
            assert ">250,552</code>" in words(client.get(url))

    def test_names_the_other_servers_that_have_rejected_it(self, client, eight):
        one = a_reject(eight)
        for name in ("Nine", "Ten"):
            a_reject(server(name), changeset=one.changeset, row=one.row)
        assert ">Nine</a>, <a" in words(client.get(one.get_absolute_url()))

    def test_a_pin_code_is_on_no_page_and_in_no_file(self, client, rejected):
        (one,) = rejected("pincodes", ("", "47110815"))
        for name, arguments in (("rejects", []), ("reject", [one.pk]), ("rejects_resend", [])):
            page = words(client.get(reverse(name, args=arguments)))
            assert "47110815" not in page
        (heading, row) = lines(client.get(reverse("rejects_csv")))
        assert row[heading.index("PIN code")] == "••••"
        assert "which is never shown" in row[heading.index("About the PIN code")]

    def test_the_form_holds_its_values_as_people_write_them(self, client, eight):
        payload = PAYLOADS["balances"] | {
            "validfrom": "2026-11-30 21:00:00+00",
            "validto": "2026-12-31 20:59:59+00",
        }
        form = client.get(a_reject(eight, payload=payload).get_absolute_url()).context["form"]
        assert form.initial["validfrom"] == "01.12.2026"
        assert form.initial["validto"] == "31.12.2026"

    def test_the_form_remembers_what_it_showed(self, client, eight):
        """The payload may change meanwhile: what is sent back as it was shown is not typed."""
        page = words(client.get(a_reject(eight).get_absolute_url()))
        amount = PAYLOADS["balances"]["amount"]
        assert f'<input type="hidden" name="initial-amount" value="{amount}"' in page

    def test_is_corrected_and_sent_with_what_people_write(self, client, rejected, shop_all):
        (one,) = rejected("balances", ("4100", 0))
        data = {"account": "4100", "amount": "1 234,50", "validto": "31.12.2026"}
        response = send_again(client, reverse("reject_resend", args=[one.pk]), data, follow=True)
        assert "is staged again. The next run moves it." in words(response)
        rows = query(
            shop_all, 'select account, amount::text, validto from "changeAccountBalanceTemp"'
        )
        assert rows[1][:2] == ("4100", "1234.50")
        assert rows[1][2].isoformat() == "2026-12-31T20:59:59+00:00"

    @pytest.mark.parametrize(
        ("data", "field", "sentence"),
        [
            ({"account": "4100", "amount": "0"}, "amount", "The amount is zero."),
            ({"account": "41 00", "amount": "5"}, "account", "contains a space"),
            ({"account": "4100", "amount": "five"}, "amount", "This is not a number."),
            ({"account": "4100", "amount": "5", "validto": "soon"}, "validto", "not a date"),
        ],
    )
    def test_a_correction_that_fails_says_so_at_the_field(
        self, client, rejected, shop_all, data, field, sentence
    ):
        (one,) = rejected("balances", ("4100", 0))
        response = client.post(reverse("reject_resend", args=[one.pk]), data)
        assert response.status_code == 422
        assert sentence in str(response.context["form"].errors[field])
        assert query(shop_all, 'select count(*) from "changeAccountBalanceTemp"') == [(1,)]

    def test_its_pin_code_is_kept_when_the_field_stays_empty(self, client, rejected, shop_all):
        (one,) = rejected("pincodes", ("", "47110815"))
        send_again(
            client, reverse("reject_resend", args=[one.pk]), {"account": "4100", "pincode": ""}
        )
        rows = query(shop_all, 'select account, pincode from "accountpincodeTemp" order by id')
        assert rows[1] == ("4100", "47110815")

    def test_what_is_sent_is_shown_before_and_nothing_is_sent_by_then(
        self, client, rejected, shop_all
    ):
        (one,) = rejected("balances", ("4100", 0))
        address = reverse("reject_resend", args=[one.pk])
        response = client.post(address, {"account": "4100", "amount": "1 234,50"})
        changed = [
            (cell.heading, cell.old, cell.new)
            for cell in response.context["preview"].cells
            if cell.is_changed
        ]
        assert changed == [("Amount", "0", "1234.50")]
        assert f"What is sent in place of row {one.row}" in words(response)
        count = 'select count(*) from "changeAccountBalanceTemp"'
        assert query(shop_all, count) == [(1,)]
        client.post(address, {"shown": response.context["preview"].sealed, "amount": "9"})
        assert query(shop_all, count) == [(2,)]
        sent = query(shop_all, 'select amount::text from "changeAccountBalanceTemp" order by id')
        assert sent[1] == ("1234.50",)

    def test_a_pin_code_that_was_typed_is_on_no_page_and_is_sent(self, client, rejected, shop_all):
        (one,) = rejected("pincodes", ("", "47110815"))
        address = reverse("reject_resend", args=[one.pk])
        response = client.post(address, {"account": "4100", "pincode": "58221926"})
        assert "58221926" not in words(response)
        assert "the one that you have typed" in words(response)
        client.post(address, {"shown": response.context["preview"].sealed})
        rows = query(shop_all, 'select account, pincode from "accountpincodeTemp" order by id')
        assert rows[1] == ("4100", "58221926")

    def test_what_another_row_has_shown_or_nobody_is_not_sent(self, client, rejected, shop_all):
        one, two = rejected("balances", ("4100", 0), ("4200", 0))
        first, second = (reverse("reject_resend", args=[row.pk]) for row in (one, two))
        shown = client.post(first, {"account": "4100", "amount": "5"}).context["preview"].sealed
        for sealed in (shown, "forged", "gAAAA"):
            assert "Check the row again" in words(
                client.post(second, {"shown": sealed}, follow=True)
            )
        assert query(shop_all, 'select count(*) from "changeAccountBalanceTemp"') == [(2,)]

    def test_a_closed_one_says_whether_its_new_row_has_arrived(self, client, rejected):
        (one,) = rejected("balances", ("4100", 0))
        send_again(
            client, reverse("reject_resend", args=[one.pk]), {"account": "4100", "amount": "5"}
        )
        assert "waits for the next run" in words(client.get(one.get_absolute_url()))
        run_here(one.server.tasks.get(kind="balances"), Trigger.MANUAL)
        assert "has arrived at this server" in words(client.get(one.get_absolute_url()))

    def test_a_correction_that_is_refused_says_what_it_corrects(self, client, rejected, bonus):
        query(bonus, "alter table asset add constraint small check (amount < 100)")
        (one,) = rejected("balances", ("4100", 0))
        send_again(
            client, reverse("reject_resend", args=[one.pk]), {"account": "4100", "amount": "500"}
        )
        run_here(one.server.tasks.get(kind="balances"), Trigger.MANUAL)
        again = RejectedRow.objects.open().get()
        link = f'<a href="{one.get_absolute_url()}">№ {one.row}</a>'
        page = words(client.get(again.get_absolute_url()))
        assert f"<dt>Corrects the rejected row</dt> <dd> {link}" in page
        page = words(client.get(one.get_absolute_url()))
        assert f'<a href="{again.get_absolute_url()}">was rejected again</a>' in page

    def test_a_changed_amount_that_is_refused_is_not_corrected_here(self, client, eight):
        one = a_reject(eight, effect="sets", root_changeset=CHANGESET, root_row=77)
        page = words(client.get(one.get_absolute_url()))
        assert "<dt>Sends the changed amount of row</dt>" in page
        assert "№ 77" in page
        assert f'href="{reverse("changed")}"' in page
        assert reverse("reject_resend", args=[one.pk]) not in page
        assert reverse("reject_discard", args=[one.pk]) in page

    def test_a_discarded_one_says_whether_the_server_knows(self, client, rejected):
        (one,) = rejected("balances", ("4100", 0))
        client.post(reverse("reject_discard", args=[one.pk]), {"reason": "a test of the till"})
        assert "is recorded by the next run" in words(client.get(one.get_absolute_url()))
        run_here(one.server.tasks.get(kind="balances"), Trigger.MANUAL)
        assert "<dt>On the server</dt> <dd> recorded" in words(client.get(one.get_absolute_url()))

    def test_sending_twice_from_two_browsers_sends_once(self, client, rejected, shop_all):
        (one,) = rejected("balances", ("4100", 0))
        address = reverse("reject_resend", args=[one.pk])
        seen = client.post(address, {"account": "4100", "amount": "5"}).context["preview"].sealed
        send_again(client, address, {"account": "4100", "amount": "6"})
        response = client.post(address, {"shown": seen}, follow=True)
        assert "Someone else closed it first." in words(response)
        assert query(shop_all, 'select count(*) from "changeAccountBalanceTemp"') == [(2,)]

    def test_a_staging_database_that_does_not_answer_is_said_in_plain_words(
        self, client, eight, settings
    ):
        settings.SHOP_ALL_DATABASE_URL = "host=127.0.0.1 port=1 dbname=x"
        one = a_reject(eight)
        data = {"account": "4100", "amount": "5"}
        response = client.post(reverse("reject_resend", args=[one.pk]), data)
        assert "The database of shop All does not answer" in words(response)
        assert RejectedRow.objects.open().exists()

    def test_a_correction_that_shop_all_may_have_is_not_said_to_be_sent(
        self, client, rejected, monkeypatch
    ):
        """The connection breaks at the commit, and shop All can't be asked."""
        (one,) = rejected("balances", ("4100", 0))
        address = reverse("reject_resend", args=[one.pk])
        broken = ConnectionLost(CONNECTION_LOST, party=SHOP_ALL)
        monkeypatch.setattr(Database, "commit", Mock(side_effect=broken))
        silent = Unreachable(UNREACHABLE, party=SHOP_ALL)
        monkeypatch.setattr(StagingImport, "is_in_log", Mock(side_effect=silent))
        page = words(send_again(client, address, {"account": "4100", "amount": "5"}, follow=True))
        assert f'action="{address}?"' in page
        assert "Sent again by" not in page
        assert "We do not know yet whether it was saved." in page
        assert "If they are open after that run, it was not saved" in page

    def test_a_row_that_is_gone_since_its_correction_was_shown_is_not_sent(
        self, client, rejected, shop_all
    ):
        (one,) = rejected("balances", ("4100", 0))
        address = reverse("reject_resend", args=[one.pk])
        shown = client.post(address, {"account": "4100", "amount": "5"}).context["preview"].sealed
        query(shop_all, 'delete from "changeAccountBalanceTemp"')
        page = words(client.post(address, {"shown": shown}, follow=True))
        assert "Not sent, 1 row:" in page
        assert RejectedRow.objects.open().exists()

    def test_is_discarded_with_a_reason_and_not_without(self, client, eight):
        one = a_reject(eight)
        address = reverse("reject_discard", args=[one.pk])
        client.post(address, {"reason": " "})
        assert RejectedRow.objects.open().exists()
        client.post(address, {"reason": "a test of the till"})
        assert "a test of the till" in words(client.get(one.get_absolute_url()))
        assert AuditEntry.objects.get().reason == "a test of the till"

    def test_after_each_decision_comes_the_next_row_of_the_list_one_came_from(
        self, client, rejected
    ):
        one, two, three, pin = (
            *rejected("balances", ("1", 0), ("2", 0), ("3", 0)),
            *rejected("pincodes", ("", "47110815")),
        )
        listed = "?kind=balances"
        page = words(client.get(reverse("rejects") + listed))
        assert f'href="{two.get_absolute_url()}{listed}"' in page
        address = reverse("reject_discard", args=[two.pk]) + listed
        response = client.post(address, {"reason": "zero"})
        assert response.url == one.get_absolute_url() + listed
        response = send_again(
            client,
            reverse("reject_resend", args=[one.pk]) + listed,
            {"account": "1", "amount": "5"},
        )
        assert response.url == three.get_absolute_url() + listed
        shown = words(client.get(response.url))
        assert f'<a href="{one.get_absolute_url()}">№ {one.row}</a>' in shown
        assert f"Below is the next rejected row, № {three.row}." in shown
        assert 'id="next"' not in shown
        response = client.post(
            reverse("reject_discard", args=[three.pk]) + listed, {"reason": "zero"}
        )
        assert response.url == three.get_absolute_url() + listed
        assert list(RejectedRow.objects.open()) == [pin]

    def test_without_the_spaces_that_were_copied_it_is_sent_at_one_press(
        self, client, rejected, shop_all
    ):
        (one,) = rejected("cards", ("77\u00a0800 ", "4100", 1))
        page = client.get(one.get_absolute_url())
        assert "Remove the spaces and send" in words(page)
        client.post(reverse("reject_resend", args=[one.pk]), {"fix": "spaces"})
        rows = query(shop_all, 'select card, account, status from "changeCardAccountTemp"')
        assert rows[1] == ("77800", "4100", 1)

    def test_nothing_is_suggested_where_spaces_are_not_what_is_wrong(self, client, rejected):
        rows = rejected("cards", ("\u00a0", "4100", 1), ("7001", "", 1))
        assert [client.get(row.get_absolute_url()).context["suggested"] for row in rows] == [
            [],
            [],
        ]


def test_a_viewer_sees_everything_and_no_button(client, log_in, eight):
    log_in("viewer", "vera")
    one = a_reject(eight)
    pages = words(client.get(reverse("rejects"))) + words(client.get(one.get_absolute_url()))
    assert "The amount is zero." in pages
    for name in ("rejects_resend", "rejects_discard"):
        assert reverse(name) not in pages
    for name in ("reject_resend", "reject_discard"):
        assert reverse(name, args=[one.pk]) not in pages
    assert 'type="checkbox"' not in pages


class TestFiles:
    def test_hold_a_row_once_though_two_servers_have_rejected_it(self, client, eight):
        one = a_reject(eight)
        a_reject(server("Бонусный сервер 9"), changeset=one.changeset, row=one.row)
        assert len(lines(client.get(reverse("rejects_csv")))) == 2

    @pytest.mark.parametrize("language", ["ru", "en"])
    def test_can_be_loaded_again_by_their_headings(self, client, eight, language):
        from transfer.engine.kinds import KINDS
        from transfer.loading.headings import missing, recognised

        for kind in KINDS.values():
            a_reject(eight, kind.name)
            client.cookies["django_language"] = language
            response = client.get(reverse("rejects_csv"), {"kind": kind.name})
            (heading, *_rows) = lines(response, ";" if language == "ru" else ",")
            columns = recognised(kind, heading)
            assert missing(kind, columns) == []
            assert set(columns) == {"reject", *(column.name for column in kind.columns)}

    def test_are_defused_and_keep_negative_amounts_as_numbers(self, client, eight):
        payload = PAYLOADS["balances"] | {"account": "=1+1", "amount": "-25.505"}
        a_reject(eight, payload=payload)
        row = lines(client.get(reverse("rejects_csv")))[1]
        assert row[1:3] == ["'=1+1", "-25.505"]

    def test_of_several_transfers_are_a_workbook_with_a_sheet_each(self, client, eight):
        a_reject(eight), a_reject(eight, "cards")
        response = client.get(reverse("rejects_csv"), {"state": "open"})
        assert response.headers["Location"] == f"{reverse('rejects_xlsx')}?state=open"
        book = b"".join(client.get(reverse("rejects_xlsx")).streaming_content)
        assert book.count(b"xl/worksheets/sheet2.xml") >= 1


class TestATableThatTakesNoSecondRow:
    @pytest.fixture
    def one(self, rejected, shop_all):
        cache.clear()
        query(shop_all, 'create unique index by_account on "changeAccountBalanceTemp" (account)')
        yield rejected("balances", ("4100", 0))[0]
        cache.clear()

    def test_offers_to_discard_only_and_says_why(self, client, one):
        for address in (reverse("rejects"), one.get_absolute_url()):
            page = words(client.get(address))
            assert "by_account forbids it" in page
            assert "/resend/" not in page
            assert "discard" in page

    def test_refuses_a_correction_all_the_same(self, client, one, shop_all):
        data = {"account": "4100", "amount": "5"}
        response = client.post(reverse("reject_resend", args=[one.pk]), data)
        assert "by_account forbids it" in words(response)
        assert query(shop_all, 'select count(*) from "changeAccountBalanceTemp"') == [(1,)]
