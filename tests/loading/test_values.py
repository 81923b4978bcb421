from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation
from hypothesis import given, strategies as st

from transfer.causes.catalogue import CATALOGUE
from transfer.engine.kinds import KINDS
from transfer.loading.values import is_masked, number, reader, status, text
from transfer.text.explain import explain

# As a workbook holds dates: without a zone.
NEW_YEARS_EVE = datetime(2026, 12, 31)  # noqa: DTZ001

MOSCOW = ZoneInfo("Europe/Moscow")
COLUMNS = {column.name: column for column in KINDS["balances"].columns}


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("100", "100"),
        ("1234,50", "1234.50"),
        ("1 234,50", "1234.50"),
        ("1\u00a0234,50 ₽", "1234.50"),
        ("1\u202f234.50", "1234.50"),
        ("1.234,50", "1234.50"),
        ("1,234.50", "1234.50"),
        ("1,234,567", "1234567"),
        ("1'234.50", "1234.50"),
        ("-25.5", "-25.5"),
        ("−25,5", "-25.5"),
        ("(100,00)", "-100.00"),
        ("250 руб.", "250"),
        (".5", "0.5"),
        (0.1 + 0.2, "0.3"),
        (-1234.56, "-1234.56"),
        (5, "5"),
        ("", None),
        ("  ", None),
    ],
)
def test_amounts_are_read_as_people_write_them(cell, value):
    assert number(cell) == (value, "")


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("сто", "not_a_number"),
        ("1.2.3", "not_a_number"),
        ("1,2,3", "not_a_number"),
        ("12,34.5,6", "not_a_number"),
        ("--5", "not_a_number"),
        ("5-", "not_a_number"),
        ("٥", "not_a_number"),
        ("NaN", "not_a_number"),
        ("1e3", "digits_lost"),
        ("1" * 101, "not_a_number"),
        ("4,1E+15", "digits_lost"),
        (4.1e15, "digits_lost"),
        (True, "not_a_number"),
    ],
)
def test_what_is_no_amount_is_never_guessed(cell, code):
    assert number(cell) == (None, code)


def test_what_is_wrong_with_an_exponent_is_said_in_words():
    """Nothing is wrong with the file: 1e3 is a number, but perhaps that of 1234."""
    with translation.override("en"):
        sentence = explain(CATALOGUE[number("1e3").fault]).sentence
    assert sentence.startswith("The number is written with an exponent, such as 1E+03,")


def test_a_comma_is_never_taken_for_a_thousand_in_silence():
    """1,234 could be either: with three decimals the engine's own check stops it."""
    assert number("1,234").value == "1.234"


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("4100000001", "4100000001"),
        (" 4100\u00a0", "4100"),
        ('="00123"', "00123"),
        ("'00123", "00123"),
        (4100000001.0, "4100000001"),
        ("00123", "00123"),
        ("4E5X", "4E5X"),
        ('\'="0041"', "0041"),
        ("10.152", "10.152"),
        (None, None),
    ],
)
def test_numbers_of_accounts_stay_what_they_are(cell, value):
    assert text(cell) == (value, "")


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        ("4,1E+15", "digits_lost"),
        ("7.78E+11", "digits_lost"),
        (4.1e15, "digits_lost"),
        ("=1+1", "formula"),
        ("'=1+1", "formula"),
        ("4100000011.0", "written_as_amount"),
        ("1234,00", "written_as_amount"),
        ("41\ufffd0", "unreadable_character"),
        ("4\x001", "unreadable_character"),
        ("4" * 10_001, "value_too_long"),
    ],
)
def test_an_account_that_excel_has_spoilt_is_said(cell, code):
    assert text(cell) == (None, code)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("31.12.2026", "2026-12-30T21:00:00+00:00"),
        ("1.2.26", "2026-01-31T21:00:00+00:00"),
        ("31/12/2026 18:05", "2026-12-31T15:05:00+00:00"),
        ("31-12-2026 18:05:09", "2026-12-31T15:05:09+00:00"),
        ("31.12.2026 г.", "2026-12-30T21:00:00+00:00"),
        ("2026-12-31", "2026-12-30T21:00:00+00:00"),
        ("2026-12-31T18:05:00Z", "2026-12-31T18:05:00+00:00"),
        ("2026-12-31 18:05:00+05:00", "2026-12-31T13:05:00+00:00"),
        (NEW_YEARS_EVE.replace(hour=18, minute=5), "2026-12-31T15:05:00+00:00"),
        (46387.0, "2026-12-30T21:00:00+00:00"),
        ("бессрочно", None),
        ("", None),
    ],
)
def test_dates_are_read_as_people_write_them(cell, value):
    assert reader(COLUMNS["validfrom"], MOSCOW)(cell) == (value, "")


@pytest.mark.parametrize(
    "cell", ["31.12.2026", "2026-12-31", "31.12.2026 0:00:00", NEW_YEARS_EVE, 46387.0]
)
def test_a_last_day_counts_to_its_end(cell):
    assert reader(COLUMNS["validto"], MOSCOW)(cell).value == "2026-12-31T20:59:59+00:00"


def test_a_last_moment_that_is_said_is_that_moment():
    assert reader(COLUMNS["validto"], MOSCOW)("31.12.2026 00:00").value == (
        "2026-12-30T21:00:00+00:00"
    )


@pytest.mark.parametrize(
    ("cell", "value"),
    [("'=подарок", "=подарок"), ("'-10 %", "-10 %"), ("'тис", "'тис"), ("=раз", "=раз")],
)
def test_a_comment_is_what_was_written_before_an_export_defused_it(cell, value):
    assert reader(COLUMNS["comment"], MOSCOW)(cell) == (value, "")


@pytest.mark.parametrize(
    "cell",
    [
        "31.02.2026",
        "12/31/2026",
        "завтра",
        "25:00",
        "1.1.2026 25:00",
        "0001-01-01",
        "9999-12-31",
        5.0,
        True,
    ],
)
def test_what_is_no_date_is_never_guessed(cell):
    assert reader(COLUMNS["validfrom"], MOSCOW)(cell) == (None, "not_a_date")


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("2", "2"),
        (1.0, "1"),
        ("EARN_ONLY", "0"),
        ("Заблокирована", "2"),
        ("3 - только списание", "3"),
        ("7", "7"),
        ("-1", "-1"),
        ("'-1", "-1"),
        ("", None),
    ],
)
def test_statuses_are_numbers_or_names(cell, value):
    assert status(cell) == (value, "")


@pytest.mark.parametrize(
    "cell", ["2.5", "blocked?", "2 - только списание", 1.5, True, "99999999999"]
)
def test_what_is_no_status_is_said(cell):
    assert status(cell) == (None, "not_a_status")


SIGNS_OF_A_MASK = set("•●∙·*?\x07")


@given(st.text(alphabet=[*SIGNS_OF_A_MASK, *" \t\n\x85\xa0\u2007\u3000", "7", "а", "\0"]))
def test_a_mask_has_signs_of_one_and_spaces_and_nothing_else(cell):
    signs = {sign for sign in cell if not sign.isspace()}
    assert is_masked(cell) == (bool(signs) and signs <= SIGNS_OF_A_MASK)
