"""A corrected file of rejected rows closes them: each line once, however often it is loaded."""

import csv
import io
from uuid import uuid4

import pytest
from django.urls import reverse
from python_calamine import CalamineWorkbook

from tests.databases import query
from tests.records import user
from tests.uploads import bad, closed_as, rejects_file, workbook
from transfer.models import AuditEntry, RejectedRow, Upload
from transfer.models.run_base import Trigger
from transfer.rejects import resend
from transfer.runs.execute import run_here

pytestmark = pytest.mark.django_db

State = Upload.State


class TestLoadingIt:
    def test_stages_the_lines_and_closes_the_rejects_which_links_and_the_audit_say(
        self, rejected, load, staged, shop_all, olga
    ):
        one, two = rejected("balances", ("4100", 0), ("4200", 0))
        upload = load("balances", rejects_file(f"{two.key};4200;2,5", f"{one.key};4100;1"))
        assert (upload.state, upload.good, upload.corrections) == (State.LOADED, 2, 2)
        assert [row[:2] for row in staged("balances")][2:] == [("4200", 2.5), ("4100", 1)]
        assert closed_as(one) == closed_as(two) == ("resent", "olga")
        assert (one.resent_changeset, one.resent_row) == (upload.changeset, 2)
        assert (two.resent_changeset, two.resent_row) == (upload.changeset, 1)
        entry = AuditEntry.objects.get(action="load")
        assert (entry.who, entry.new["good"], entry.new["corrections"]) == ("olga", 2, 2)
        outcome = resend.resend(RejectedRow.objects.all(), {"amount": "9"}, olga)
        assert outcome.sent == 0
        assert len(staged("balances")) == 4

    def test_a_row_that_two_servers_rejected_is_staged_once_and_closed_at_both(
        self, rejected, load, staged, dock, second_bonus
    ):
        (one,) = rejected("balances", ("4100", 0))
        nine = dock(second_bonus, "Бонусный сервер 9")
        run_here(nine.tasks.get(kind="balances"), Trigger.MANUAL)
        load("balances", rejects_file(f"{one.key};4100;1"))
        assert len(staged("balances")) == 2
        assert not RejectedRow.objects.open().exists()

    def test_lines_without_a_number_are_new_rows_in_the_order_of_the_file(
        self, rejected, load, staged
    ):
        one, two = rejected("balances", ("1", 0), ("2", 0))
        lines = rejects_file("new;7", f"{two.key};2;2", ";new;8", f"{one.key};1;1")
        lines = lines.replace(b"new;7", b";new;7")
        upload = load("balances", lines)
        assert [row[:2] for row in staged("balances")][2:] == [
            ("new", 7),
            ("2", 2),
            ("new", 8),
            ("1", 1),
        ]
        assert ["new_rows", {"n": 2}] in upload.report["warnings"]

    def test_moves_with_the_next_run_exactly_once(self, rejected, load, receiver, bonus):
        (one,) = rejected("balances", ("4100", 0))
        load("balances", rejects_file(f"{one.key};4100;7"))
        for _ in range(2):
            run_here(receiver.tasks.get(kind="balances"), Trigger.MANUAL)
        assert query(bonus, "select account, amount::int from asset") == [("4100", 7)]

    def test_the_column_is_chosen_by_hand_where_it_has_another_name(self, rejected, load):
        (one,) = rejected("balances", ("4100", 0))
        content = rejects_file(f"4100;1;{one.key.lower()}", head="a;b;c")
        columns = {"account": 0, "amount": 1, "reject": 2}
        load("balances", content, header=1, columns=columns)
        assert closed_as(one) == ("resent", "olga")


class TestBadLines:
    def faults(self, upload):
        return [(line, column, code) for line, column, _value, code in bad(upload)]

    def test_name_what_is_unknown_unreadable_closed_or_of_another_transfer(
        self, rejected, check, olga
    ):
        one, two = rejected("balances", ("4100", 0), ("4200", 0))
        (card,) = rejected("cards", ("7001", None, 2))
        resend.discard(RejectedRow.objects.filter(pk=two.pk), "late", olga)
        upload = check(
            "balances",
            rejects_file(
                "R999999-1;4100;1",
                f"R{one.pk}-{one.row + 1};4100;1",
                f"{one.row};4100;1",
                f"{two.key};4200;1",
                f"{card.key};4100;1",
            ),
        )
        assert self.faults(upload) == [
            (2, "reject", "reject_unknown"),
            (3, "reject", "reject_unknown"),
            (4, "reject", "reject_unreadable"),
            (5, "reject", "reject_closed"),
            (6, "reject", "reject_of_another"),
        ]
        assert upload.good == 0

    def test_name_every_line_of_a_row_that_is_corrected_twice(
        self, rejected, check, dock, second_bonus
    ):
        rejected("balances", ("4100", 0))
        nine = dock(second_bonus, "Бонусный сервер 9")
        run_here(nine.tasks.get(kind="balances"), Trigger.MANUAL)
        one, same = RejectedRow.objects.order_by("pk")
        upload = check("balances", rejects_file(f"{one.key};4100;1", f"{same.key};4100;2"))
        assert self.faults(upload) == [
            (2, "reject", "reject_twice"),
            (3, "reject", "reject_twice"),
        ]

    def test_leave_their_rejects_open(self, rejected, load):
        one, two = rejected("balances", ("4100", 0), ("4200", 0))
        upload = load("balances", rejects_file(f"{one.key};4100;1", f"{two.key};4200;0"))
        assert (upload.good, upload.bad) == (1, 1)
        assert (closed_as(one)[0], closed_as(two)[0]) == ("resent", "open")


class TestPinCodes:
    HEAD = "Rejected row no.;account;pin"

    def test_are_kept_where_the_mask_stands_and_replaced_where_it_does_not(
        self, rejected, load, staged
    ):
        one, two = rejected("pincodes", ("", "47110815"), ("", "47120815"))
        lines = rejects_file(f"{one.key};4100;••••", f"{two.key};4200;0042", head=self.HEAD)
        upload = load("pincodes", lines)
        assert staged("pincodes")[2:] == [("4100", "47110815"), ("4200", "0042")]
        assert "47110815" not in repr(vars(upload))

    def test_the_mask_survives_another_encoding(self, rejected, load, staged):
        (one,) = rejected("pincodes", ("", "47110815"))
        load("pincodes", rejects_file(f"{one.key};4100;????", head=self.HEAD))
        assert staged("pincodes")[1] == ("4100", "47110815")

    def test_a_mask_without_a_rejected_row_is_no_pin_code(self, check, rejected):
        rejected("pincodes", ("", "47110815"))
        lines = rejects_file(";4100;••••", "R7-7;4200;••••", head=self.HEAD)
        codes = [code for *_, code in bad(check("pincodes", lines))]
        assert codes == ["pin_masked", "reject_unknown"]

    def test_what_is_not_there_any_more_has_to_be_entered(self, check, rejected, shop_all):
        (one,) = rejected("pincodes", ("", "47110815"))
        query(shop_all, 'delete from "accountpincodeTemp"')
        lines = rejects_file(f"{one.key};4100;••••", head=self.HEAD)
        assert bad(check("pincodes", lines)) == [(2, "pincode", "", "pin_gone")]

    def test_of_a_row_that_shop_all_has_lost_are_not_guessed(self, check, rejected):
        (one,) = rejected("pincodes", ("", "47110815"))
        RejectedRow.objects.update(changeset=uuid4())
        lines = rejects_file(f"{one.key};4100;••••", head=self.HEAD)
        assert bad(check("pincodes", lines))[0][3] == "row_lost"

    def test_one_that_the_checks_refuse_is_said_though_it_is_kept(self, check, rejected, shop_all):
        query(shop_all, 'alter table "accountpincodeTemp" alter pincode type text')
        (one,) = rejected("pincodes", ("", "4" * 101))
        lines = rejects_file(f"{one.key};4100;••••", head=self.HEAD)
        assert bad(check("pincodes", lines))[0][3] == "pin_too_long"


def corrected(content, form):
    """The file without the spaces in its accounts, written as a spreadsheet would."""
    if form == "csv":
        return content.replace(b"41 00", b"4100").replace(b"42 00", b"4200")
    (sheet,) = CalamineWorkbook.from_filelike(io.BytesIO(content)).sheet_names
    rows = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_name(sheet).to_python()
    spoilt = {"41 00": "4100", "42 00": "4200"}
    return workbook([[spoilt.get(cell, cell) for cell in row] for row in rows])


class TestTheDownloadedFile:
    @pytest.fixture
    def download(self, client, settings):
        settings.LANGUAGE_CODE = "en"
        client.force_login(user("operator"))

        def download(form, language="en", **filters):
            client.cookies["django_language"] = language
            response = client.get(reverse(f"rejects_{form}"), filters)
            return b"".join(response.streaming_content)

        return download

    @pytest.mark.parametrize("language", ["ru", "en"])
    @pytest.mark.parametrize("form", ["csv", "xlsx"])
    def test_says_the_same_when_it_comes_back(
        self, rejected, download, load, staged, shop_all, client, form, language
    ):
        """Also for a user in another time zone."""
        rows = [
            ("41 00", 1250.5, "2026-11-30 21:00+00", "2026-12-31 20:59:59+00", "=подарок"),
            ("42 00", -25, None, "2026-12-31 15:05+00", "-10 %; «так»"),
        ]
        rejected("balances", *rows)
        client.cookies["timezone"] = "Asia/Vladivostok"
        content = corrected(download(form, language), form)
        load("balances", content, name=f"rejects.{form}")
        before, after = staged("balances")[:2], staged("balances")[2:]
        assert [(row[0].replace(" ", ""), *row[1:]) for row in before] == after
        assert not RejectedRow.objects.open().exists()

    def test_names_each_row_and_masks_its_pin_code(self, rejected, download):
        rejected("pincodes", ("", "47110815"), ("4100", None))
        text = download("csv").decode("utf-8-sig")
        head, one, two = csv.reader(io.StringIO(text))
        named = dict(zip(head, one, strict=True))
        reject = RejectedRow.objects.order_by("pk")[0]
        assert (named["Rejected row no."], named["PIN code"]) == (reject.key, "••••")
        assert dict(zip(head, two, strict=True))["PIN code"] == ""
        assert "47110815" not in text

    def test_of_several_transfers_is_loaded_sheet_by_sheet(self, rejected, download, load):
        rejected("balances", ("4100", 0))
        (card,) = rejected("cards", ("7001", None, 2))
        content = download("xlsx")
        upload = load("cards", content, name="rejects.xlsx")
        assert (upload.good, closed_as(card)[0]) == (1, "resent")


def test_a_cell_that_is_as_the_file_shows_it_takes_its_value_from_shop_all(
    rejected, check, load, staged
):
    """What the file shows comes from a bonus server, which may have forged it."""
    (one,) = rejected("balances", ("41 00", 7, None, None, "bonus"))
    forged = {"account": "41 00", "amount": "1000000.00", "comment": "stolen"}
    RejectedRow.objects.filter(pk=one.pk).update(payload=one.payload | forged)
    head = "Rejected row no.;account;amount;comment"
    load("balances", rejects_file(f"{one.key};4100;1000000.00;stolen", head=head))
    assert [(row[0], int(row[1]), row[4]) for row in staged("balances")] == [
        ("41 00", 7, "bonus"),
        ("4100", 7, "bonus"),
    ]
