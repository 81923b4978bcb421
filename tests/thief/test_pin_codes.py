"""A PIN code in a wrong place of a file: in another column, in the file's name."""

import pytest
from django.urls import reverse

from tests.records import user
from tests.uploads import bad, workbook
from transfer.models import AuditEntry, BadLine, Upload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_english")]

PIN = "73519"
HEAD = "account;pin"
# Lines whose account is the PIN code, or has it inside; whether the line can be loaded, the check
# that it fails, and where it fails.
WRONG_PLACES = {
    "the same": (f"{PIN};{PIN}", []),
    "inside": (f"41{PIN}00;{PIN}", []),
    "inside a bad account": (f"41 {PIN} 00;{PIN}", ["account_has_spaces"]),
    "a formula": (f"={PIN};{PIN}", ["formula"]),
    "both unreadable": (f"41{PIN};={PIN}", ["formula"]),
    "with spaces around": (f" {PIN};  {PIN} ", []),
    "beside an unreadable one": (f"x{PIN}.0;{PIN}.0", ["written_as_amount"]),
    "as Excel keeps it": (f'41{PIN};="{PIN}"', []),
    "too long": (f"{PIN * 30};{PIN * 25}", ["account_too_long"]),
}


@pytest.fixture
def everything(client):
    """All that is stored and shown of an upload, as one text."""
    client.force_login(user("administrator", "anna"))

    def everything(upload):
        upload.refresh_from_db()
        stored = [
            *Upload.objects.filter(pk=upload.pk).values_list("name", "report", "layout"),
            *BadLine.objects.values_list("value", "cells"),
            *AuditEntry.objects.values(),
        ]
        addresses = [
            upload.get_absolute_url(),
            reverse("loads"),
            *(reverse("upload_bad_lines", args=[upload.pk, form]) for form in ("csv",)),
        ]
        answers = [client.get(address) for address in addresses]
        assert [answer.status_code for answer in answers] == [200] * len(answers)
        shown = [b"".join(answer).decode() for answer in answers]
        return "\n".join([str(stored), *shown])

    return everything


@pytest.mark.parametrize("place", WRONG_PLACES)
def test_in_the_column_of_accounts_it_is_neither_stored_nor_shown(check, everything, place):
    line, codes = WRONG_PLACES[place]
    upload = check("pincodes", f"{HEAD}\n{line}\n4100000011;84628\n".encode())
    assert [code for *_, code in bad(upload)] == codes
    text = everything(upload)
    assert PIN not in text
    assert "4100000011" in text  # an account without it


def test_nor_is_one_of_a_workbook_that_has_numbers(check, everything):
    cells = [["account", "pin"], [float(PIN), float(PIN)], [f"41 {PIN}", float(PIN)]]
    upload = check("pincodes", workbook(cells), name="file.xlsx")
    assert [code for *_, code in bad(upload)] == ["account_has_spaces"]
    assert PIN not in everything(upload)


def test_nor_is_one_in_the_column_of_rejected_rows(check, everything):
    upload = check("pincodes", f"Rejected row no.;{HEAD}\n{PIN};4100;{PIN}\n".encode())
    assert [code for *_, code in bad(upload)] == ["reject_unreadable"]
    assert PIN not in everything(upload)


def test_the_cell_has_to_be_entered_again_and_the_mask_is_no_account(check, load, staged, download):
    upload = check("pincodes", f"{HEAD}\n41 {PIN};{PIN}\n".encode())
    ((_, columns, value, code),) = bad(upload)
    assert (columns, value, code) == ("account", "••••", "account_has_spaces")
    again = check("pincodes", download(upload))
    assert [code for *_, code in bad(again)] == ["account_missing"]
    assert staged("pincodes") == []


def test_a_line_whose_account_has_it_inside_is_loaded_as_it_is(load, staged):
    load("pincodes", f"{HEAD}\n41{PIN};{PIN}\n".encode())
    assert staged("pincodes") == [(f"41{PIN}", PIN)]


@pytest.mark.parametrize("line", [f"4100;{PIN}", f"4100;={PIN}", f"41 00;{PIN}"])
def test_in_the_name_of_the_file_it_is_masked_once_the_file_is_read(check, everything, line):
    upload = check("pincodes", f"{HEAD}\n{line}\n".encode(), name=f"4100-{PIN}.csv")
    assert upload.name == "4100-••••.csv"
    assert PIN not in everything(upload)


def test_the_name_of_another_file_stays(check):
    assert check("pincodes", f"{HEAD}\n4100;{PIN}\n".encode(), name="pins 2026.csv").name == (
        "pins 2026.csv"
    )
    upload = check("balances", b"account;amount\n4100;5\n", name="4100-5.csv")
    assert upload.name == "4100-5.csv"
