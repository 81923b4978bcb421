"""Files of what is filtered: CSV as a stream, XLSX with flat memory."""

import io
import re
import zipfile
from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.pages.look import content, lines
from tests.records import NOON, a_reject, a_run, server
from transfer.models.run_base import State
from transfer.pages.exports import Field, Sheet, csv_response, defused, xlsx_response

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("viewer")]


def sheet_of(response, number=1):
    """The XML of a worksheet."""
    book = zipfile.ZipFile(io.BytesIO(content(response)))
    return book.read(f"xl/worksheets/sheet{number}.xml").decode()


def columns_of(sheet):
    """The element of each column. One represents neighbours that are alike."""
    found = re.findall('<col min="([0-9]+)" max="([0-9]+)"([^>]*)>', sheet)
    return [rest for first, last, rest in found for _ in range(int(first), int(last) + 1)]


def test_csv_holds_what_is_filtered_in_the_order_of_the_page(client):
    eight = server()
    small, large = a_run(eight, applied=5), a_run(eight, applied=500)
    a_run(eight, "cards", applied=7)
    heading, *rows = lines(
        client.get(reverse("history_csv"), {"kind": "balances", "sort": "-read"})
    )
    assert [row[0] for row in rows] == [str(large.pk), str(small.pk)]
    assert rows[0][heading.index("Applied")] == "500"


def test_what_is_text_stays_text_when_it_is_edited_in_a_workbook(client):
    """Typed into a column of numbers, 0042 would lose its zeros."""
    a_reject(server(), "pincodes")
    sheet = sheet_of(client.get(reverse("rejects_xlsx")))
    are_text = ["style=" in one for one in columns_of(sheet)]
    assert are_text[:3] == [True] * 3  # number of the row, account, PIN code
    assert not any(are_text[3:])


def test_no_heading_of_a_russian_file_is_left_in_english(client):
    a_run(server())
    client.cookies["django_language"] = "ru"
    for name in ("history_csv", "history_maintenance_csv", "rejects_csv"):
        (heading,) = lines(client.get(reverse(name)), ";")[:1]
        known = "магазина All"
        assert [one for one in heading if re.search("[A-Za-z]{2}", re.sub(known, "", one))] == []


def test_times_stand_in_the_users_zone_and_the_heading_names_it(client):
    a_run(server())
    heading, row = lines(client.get(reverse("history_csv")))
    assert row[heading.index("Queued at, MSK")] == "2026-11-20 15:00:00"
    client.cookies["timezone"] = "Asia/Yekaterinburg"
    heading, row = lines(client.get(reverse("history_csv")))
    assert row[heading.index("Queued at, UTC+5")] == "2026-11-20 17:00:00"


def test_a_zone_whose_clocks_change_has_its_full_name(client):
    a_run(server())
    client.cookies["timezone"] = "Europe/Berlin"
    heading, _row = lines(client.get(reverse("history_csv")))
    assert "Queued at, Europe/Berlin" in heading


def test_columns_of_a_workbook_are_as_wide_as_what_they_hold(client):
    a_run(server("Бонусный сервер с очень длинным названием"), applied=5)
    sheet = sheet_of(client.get(reverse("history_xlsx")))
    widths = [float(re.search('width="([0-9.]+)"', one)[1]) for one in columns_of(sheet)]
    heading, row = lines(client.get(reverse("history_csv")))
    for name, cell, width in zip(heading, row, widths, strict=True):
        assert width >= max(len(name), len(cell)), name
    assert widths[heading.index("Applied")] < 15


def test_a_file_in_russian_is_as_excel_in_russia_reads_it(client):
    a_run(server(), amount_applied=Decimal("1234.50"), finished_at=NOON + timedelta(seconds=1.5))
    client.cookies["django_language"] = "ru"
    response = client.get(reverse("history_csv"))
    row = lines(response, ";")[1]
    assert "1234,50" in row
    assert "1,5" in row


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_cells_that_excel_would_run_are_defused(client, text):
    assert defused(text) == f"'{text}"
    sheet = Sheet("x", [Field("what", lambda record: record)], [text])
    assert lines(csv_response("x", sheet))[1] == [f"'{text}"]
    page = sheet_of(xlsx_response("x", [sheet]))
    assert "<f>" not in page
    assert re.search(r"<t[^>]*>&apos;|<t[^>]*>'", page)


def test_the_cause_of_a_failure_is_defused_in_the_history_too(client):
    a_run(server(), state=State.FAILED, error_code="unexpected", error_technical="=cmd()")
    assert "'=cmd()" in lines(client.get(reverse("history_csv")))[1]


def test_numbers_stay_numbers_even_below_zero(client):
    sheet = Sheet("x", [Field("sum", lambda record: record)], [Decimal("-25.50")])
    assert lines(csv_response("x", sheet))[1] == ["-25.50"]
    assert "<v>-25.5" in sheet_of(xlsx_response("x", [sheet]))


def test_a_number_that_excel_would_round_is_text(client):
    sheet = Sheet("x", [Field("sum", lambda record: record)], [Decimal("12345678901234567.89")])
    assert "12345678901234567.89" in sheet_of(xlsx_response("x", [sheet]))


def test_csv_is_a_stream_that_asks_for_rows_as_it_goes(client):
    asked = []

    def records():
        for number in range(2000):
            asked.append(number)
            yield number

    response = csv_response("x", Sheet("x", [Field("n", lambda record: record)], records()))
    stream = iter(response.streaming_content)
    next(stream), next(stream)
    assert 0 < len(asked) < 100  # the first bytes come soon
    assert b"".join(stream).count(b"\r\n") > 900


@pytest.mark.parametrize("name", ["history", "rejects"])
def test_a_workbook_has_a_limit_and_the_page_says_so(client, monkeypatch, name):
    monkeypatch.setattr("transfer.pages.exports.ROWS_OF_A_WORKBOOK", 2)
    eight = server()
    for _ in range(2):
        a_reject(eight, run=a_run(eight, queued_at=timezone.now()))
    page, workbook = reverse(name), reverse(f"{name}_xlsx")
    assert "sheetData" in sheet_of(client.get(workbook))
    a_reject(eight, run=a_run(eight, queued_at=timezone.now()))
    came_from = f"http://testserver{page}?server={eight.pk}"
    response = client.get(workbook, headers={"Referer": came_from}, follow=True)
    assert response.redirect_chain == [(f"{page}?server={eight.pk}", 302)]
    assert "holds 2 rows at most, and more were found" in response.text
    assert len(lines(client.get(reverse(f"{name}_csv")))) == 1 + 3


def test_the_heading_of_a_workbook_stays_in_sight_and_filters(client):
    sheet = Sheet("x", [Field("a", abs), Field("b", abs)], range(1, 6))
    page = sheet_of(xlsx_response("x", [sheet]))
    assert re.search(r'<pane ySplit="1" [^>]*state="frozen"', page)
    assert '<autoFilter ref="A1:B6"/>' in page


def test_maintenance_can_be_downloaded_too_and_an_empty_file_has_its_heading(client):
    assert lines(client.get(reverse("history_maintenance_csv")))[0][0] == "№"
    assert "sheetData" in sheet_of(client.get(reverse("history_maintenance_xlsx")))
