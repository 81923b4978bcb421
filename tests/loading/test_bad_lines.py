"""The file of bad lines can be corrected and loaded on its own; nothing of it is good by itself."""

import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from python_calamine import CalamineWorkbook

from tests.databases import stage
from tests.uploads import bad, workbook
from transfer.models import RejectedRow
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here

pytestmark = pytest.mark.django_db

FORMS = ["csv", "xlsx"]


def codes(upload):
    return [code for *_, code in bad(upload)]


SPOILT = b"""account;amount;validfrom;validto;comment
;5;;;no account
41 00;-25,50;1.12.2026;31.12.2026;=\xd1\x80\xd0\xb0\xd0\xb7
=A1;5;;;formula
="0041";0;;;zero
4,1E+15;5;;;digits lost
4100;1,005;;;decimals
4100;five;2026-12-31;;words
4100;5;31.02.2026;;no such day
4100;5;2.1.2026;1.1.2026;reversed
4100;1 000;5;;31.12.2026;shifted
"""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("language", ["ru", "en"])
def test_every_line_is_bad_for_the_same_reason_when_it_comes_back(check, download, form, language):
    upload = check("balances", SPOILT)
    assert (upload.good, upload.bad) == (0, 10)
    again = check("balances", download(upload, form, language), name=f"bad.{form}")
    shifted = codes(upload).index("too_many_cells")
    expected = codes(upload)
    expected[shifted] = "account_missing"  # its cells are left out: they could be taken for good
    assert codes(again) == expected


def test_numbers_and_dates_of_a_workbook_come_back_as_what_they_were(check, download):
    rows = [
        ["account", "amount", "validto"],
        [4100000011.0, 4.1e15, None],
        [4.1e15, 5, None],
        [None, 12.5, datetime(2026, 12, 31)],  # noqa: DTZ001
        ["4100", True, None],
    ]
    upload = check("balances", workbook(rows), name="a.xlsx")
    assert upload.bad == 4
    for form in FORMS:
        again = check("balances", download(upload, form), name=f"bad.{form}")
        assert codes(again) == codes(upload)
    assert [line.cells["account"] for line in upload.bad_lines.all()[:2]] == [
        "4100000011",
        "4.1e+15",
    ]
    assert upload.bad_lines.all()[2].cells["validto"] == "31.12.2026"


def test_corrected_they_are_loaded_with_all_that_stood_there(check, load, download, staged):
    content = "account;amount;validfrom;validto;comment\n41 00;-25,50;1.12.2026;31.12.2026;=раз\n"
    upload = check("balances", content.encode())
    load("balances", download(upload).replace(b"41 00", b"4100"))
    begins = datetime(2026, 11, 30, 21, tzinfo=UTC)
    ends = datetime(2026, 12, 31, 20, 59, 59, tzinfo=UTC)
    assert staged("balances") == [("4100", Decimal("-25.50"), begins, ends, "=раз")]


def test_in_a_workbook_amounts_are_numbers(check, download):
    upload = check("balances", b"account;amount\n41 00;-25,50\n42 00;x\n")
    book = CalamineWorkbook.from_filelike(io.BytesIO(download(upload, "xlsx")))
    head, one, two = book.get_sheet_by_index(0).to_python()
    place = head.index("Amount")
    assert (one[place], two[place]) == (-25.5, "x")


class TestPinCodes:
    def test_are_left_out_and_have_to_be_entered_anew(self, check, download, staged):
        upload = check("pincodes", b"account;pin\n41 00;73519\n")
        content = download(upload)
        assert b"73519" not in content
        corrected = content.replace(b"41 00", b"4100")
        assert codes(check("pincodes", corrected)) == ["pin_missing"]

    def test_one_that_was_entered_for_a_rejected_row_is_never_replaced_by_its_old_one(
        self, check, load, download, staged, dock, bonus, shop_all
    ):
        stage(shop_all, "pincodes", [("", "4711"), ("", "4712")])
        run_here(dock(bonus).tasks.get(kind="pincodes"), Trigger.MANUAL)
        one, two = RejectedRow.objects.order_by("pk")
        lines = f"Rejected row no.;account;pin\n{one.key};41 00;0042\n{two.key};42 00;••••\n"
        upload = check("pincodes", lines.encode())
        corrected = download(upload).replace(b"41 00", b"4100").replace(b"42 00", b"4200")
        again = load("pincodes", corrected)
        assert codes(again) == ["pin_missing"]
        assert staged("pincodes")[2:] == [("4200", "4712")]


def test_the_number_of_the_rejected_row_comes_back_too(
    check, load, download, dock, bonus, shop_all
):
    stage(shop_all, "balances", [("4100", 0)])
    run_here(dock(bonus).tasks.get(kind="balances"), Trigger.MANUAL)
    reject = RejectedRow.objects.get()
    upload = check("balances", f"Rejected row no.;account;amount\n{reject.key};41 00;5\n".encode())
    load("balances", download(upload).replace(b"41 00", b"4100"))
    reject.refresh_from_db()
    assert reject.state == RejectedRow.State.RESENT
