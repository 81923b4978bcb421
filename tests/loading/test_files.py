"""Files as they come from Excel and from 1C in Russia."""

import tracemalloc
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from itertools import repeat

import pytest

from tests.uploads import bad, old_workbook, open_document, workbook
from transfer.engine.kinds import KINDS
from transfer.loading import spreadsheet, upload_job
from transfer.loading.receive import receive
from transfer.models import Upload

State = Upload.State


def warnings(upload):
    return [code for code, _ in upload.report["warnings"]]


class TestCSV:
    def test_cp1251_with_semicolons_and_decimal_commas(self, load, staged):
        text = "Счёт;Сумма;Действует по;Комментарий\r\n4100;1 234,50;31.12.2026;Подарок «день»\r\n"
        upload = load("balances", text.encode("cp1251"))
        assert upload.layout["encoding"] == "cp1251"
        ends = datetime(2026, 12, 31, 20, 59, 59, tzinfo=UTC)
        assert staged("balances") == [("4100", Decimal("1234.50"), None, ends, "Подарок «день»")]

    @pytest.mark.parametrize(
        "text",
        [
            "Счёт;Сумма;Комментарий\n4100;1,50;Подарок\n",
            "СЧЕТ;СУММА;КОММЕНТАРИЙ\n4100;1,50;ПОДАРОК\n",
            "account;amount;comment\n4100;1,50;Подарок Иванову\n",
        ],
    )
    @pytest.mark.parametrize("encoding", ["cp866", "cp1251"])
    def test_cp866_and_cp1251_are_told_apart(self, load, staged, encoding, text):
        upload = load("balances", text.encode(encoding))
        assert upload.layout["encoding"] == encoding
        ((account, amount, _from, _to, comment),) = staged("balances")
        assert (account, amount) == ("4100", Decimal("1.50"))
        assert comment in text

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    @pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
    def test_other_encodings_and_delimiters(self, load, staged, encoding, delimiter):
        lines = [["Номер карты", "№ счёта", "Статус"], ["7780001", "4100", "1"]]
        text = "\n".join(delimiter.join(cells) for cells in lines)
        load("cards", text.encode(encoding))
        assert staged("cards") == [("7780001", "4100", 1)]

    def test_cyrillic_beyond_the_first_piece_is_seen_as_utf_8(self, check):
        lines = ["account;amount;comment", *[f"4100;1;{'x' * 200}"] * 7_500, "4100;1;Подарок"]
        upload = check("balances", "\n".join(lines).encode())
        assert upload.layout["encoding"] == "utf-8-sig"
        assert (upload.good, upload.bad) == (7_501, 0)

    def test_quoted_cells_hold_delimiters_quotes_and_line_breaks(self, load, staged):
        load("balances", 'account,amount,comment\n4100,"1,50","Акция ""два"",\nконец"\n'.encode())
        assert staged("balances")[0][1:] == (Decimal("1.50"), None, None, 'Акция "два",\nконец')

    def test_titles_above_empty_lines_and_trailing_totals(self, load, staged):
        text = (
            "Отчёт за ноябрь;;\n;;\nСчет;ФИО;Сумма\n4100;Иванов;10,00\n;;\n4200;Петров;20,00\n"
            ";;\nИтого;;30,00\n;;\n"
        )
        upload = load("balances", text.encode("cp1251"))
        assert [row[:2] for row in staged("balances")] == [("4100", 10), ("4200", 20)]
        assert warnings(upload) == ["ignored", "totals_left_out"]

    def test_a_total_that_differs_is_warned_of(self, check):
        upload = check("balances", b"account;amount\n4100;10\nTotal;11\n")
        differs = ["total_differs", {"stated": "11", "found": "10"}]
        assert differs in upload.report["warnings"]

    def test_line_numbers_are_those_of_the_file(self, check):
        text = 'account;amount;comment\n\n4100;1;"two\nlines"\n4100;0;zero\n'
        assert bad(check("balances", text.encode())) == [(5, "amount", "0", "amount_zero")]

    def test_numbers_that_excel_has_turned_into_a_power_of_ten(self, check):
        upload = check("balances", b"account;amount\n4,1E+15;5\n")
        assert bad(upload) == [(2, "account", "4,1E+15", "digits_lost")]

    def test_lost_leading_zeros_are_warned_of(self, check):
        pins = [*range(1000, 1090), *range(100, 110)]
        rows = ["account;pin", *(f"41{place:06};{pin}" for place, pin in enumerate(pins))]
        upload = check("pincodes", "\n".join(rows).encode())
        params = {"column": "pincode", "n": 10, "usual": 4, "shortest": 3}
        assert upload.report["warnings"] == [["zeros_lost", params]]

    def test_numbers_of_all_lengths_are_not_warned_of(self, check):
        rows = ["account;pin", *(f"{10**length};1234" for length in range(3, 9))]
        assert check("pincodes", "\n".join(rows).encode()).report["warnings"] == []

    def test_cells_that_begin_with_a_formula_sign(self, check, load, staged):
        upload = load(
            "balances",
            b"account;amount;comment\n=cmd|'/c calc'!A0;1;x\n=\"0041\";2;=SUM(A1)\n",
        )
        assert bad(upload) == [(2, "account", "=cmd|'/c calc'!A0", "formula")]
        assert staged("balances") == [("0041", 2, None, None, "=SUM(A1)")]

    def test_an_unquoted_decimal_comma_shifts_nothing_in_silence(self, check):
        upload = check("balances", b"account,amount\n4100,12,50\n4200,13\n")
        assert bad(upload) == [(2, "", "3 > 2", "too_many_cells")]

    def test_an_undecodable_character_is_a_bad_line(self, check):
        upload = check("balances", "Счет;Сумма\n41".encode("cp1251") + b"\x98;5\n")
        assert bad(upload)[0][3] == "unreadable_character"

    def test_a_quote_that_is_never_closed(self, check):
        text = 'account;amount\n4100;1\n"4200;2\n' + "4300;3\n" * 30_000
        upload = check("balances", text.encode())
        assert (upload.state, upload.error_code) == (State.REFUSED, "quote_not_closed")
        assert upload.error_params == {"line": "3"}

    def test_headings_in_any_order_case_and_spelling(self, check):
        upload = check(
            "balances", "СУММА (руб.);Номер счета;Срок действия\n5;41;1.1.2027\n".encode()
        )
        assert upload.layout["columns"] == {"amount": 0, "account": 1, "validto": 2}

    def test_utf_8_that_is_spoilt_further_on_is_still_utf_8(self, check):
        text = "Счёт;Сумма;Комментарий\n4100;5;Подарок\n".encode()
        upload = check("balances", text + "4200;6;Подарок\n".encode("cp1251"))
        assert (upload.layout["encoding"], upload.good) == ("utf-8-sig", 1)
        assert [line[3] for line in bad(upload)] == ["unreadable_character"]

    def test_a_hint_of_excel_above_the_headings(self, check):
        upload = check("balances", "sep=;\nСчёт;Сумма\n4100;1,5\n".encode("cp1251"))
        assert (upload.good, upload.bad) == (1, 0)

    def test_empty_columns_at_the_end_are_none(self, check):
        upload = check("balances", b"account;amount" + b";" * 5000 + b"\n4100;5\n")
        assert (upload.good, list(upload.layout["headings"])) == (1, ["account", "amount"])

    def test_more_columns_than_anybody_can_look_at(self, check):
        upload = check("balances", b"x;" * 1000 + b"\n" + b"1;" * 1000 + b"\n")
        assert upload.error_code == "too_many_columns"
        commas = check("balances", b"account;amount;comment\n4100;5;" + b"a, " * 1000 + b"\n")
        assert commas.good == 1

    def test_a_file_without_headings_is_mapped_by_hand(self, check, load, staged):
        upload = check("balances", b"4100;5\n4200;6\n")
        assert (upload.state, upload.layout["header"]) == (State.COLUMNS, 0)
        load("balances", b"4100;5\n4200;6\n", header=0, columns={"account": 0, "amount": 1})
        assert [row[:2] for row in staged("balances")] == [("4100", 5), ("4200", 6)]

    def test_two_columns_that_could_be_meant_are_left_to_the_user(self, check):
        upload = check("cards", "Карта;Номер карты;Счет\n1;2;3\n".encode())
        assert upload.state == State.COLUMNS
        assert upload.layout["columns"] == {"account": 2}


@pytest.mark.long
def test_a_file_of_16_mb_never_stands_in_memory(db, shop_all, olga):
    line = f"4100000011;1;{'Начисление за покупку ' * 400}\n".encode("cp1251")
    lines = [b"account;amount;comment\n", *repeat(line, 16 * 2**20 // len(line))]
    tracemalloc.start()
    try:
        upload = receive(KINDS["balances"], lines, olga, name="a.csv")
        upload_job.go_on(upload)
        peak = tracemalloc.get_traced_memory()[1]  # 10 MB, with modules that are loaded now 13
    finally:
        tracemalloc.stop()
    assert upload.size > 15 << 20
    assert peak < upload.size
    assert upload.good > 1500


@pytest.mark.parametrize(
    "line",
    [
        b";" * (1 << 20),  # one line
        b'"\n";' * (1 << 18),  # one record, of many lines
    ],
)
@pytest.mark.long
def test_a_line_that_does_not_end_is_refused_before_it_is_in_memory(db, shop_all, olga, line):
    head = b"account;amount\n" + b"4100000011;1\n" * 8_000
    tracemalloc.start()
    try:
        upload = receive(KINDS["balances"], [head, *repeat(line, 8)], olga, name="a.csv")
        upload_job.go_on(upload)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert (upload.state, upload.error_code) == (State.REFUSED, "line_too_long")
    assert "8002" in str(upload.explained)


class TestXLSX:
    def test_numbers_dates_and_text(self, load, staged):
        rows = [["Счет", "Сумма", "Действует с"], ["0041", 10.5, None], [42.0, -3, "1.2.2026"]]

        def write(book, sheet):
            date = book.add_format({"num_format": "dd.mm.yyyy"})
            sheet.write_datetime(1, 2, date_time(24), date)

        upload = load("balances", workbook(rows, write), name="a.xlsx")
        assert [row[:3] for row in staged("balances")] == [
            ("0041", Decimal("10.5"), datetime(2026, 11, 23, 21, tzinfo=UTC)),
            ("42", Decimal(-3), datetime(2026, 1, 31, 21, tzinfo=UTC)),
        ]
        assert warnings(upload) == ["numbers"]

    def test_formulas_count_by_their_result_and_merged_titles_do_not_disturb(self, load, staged):
        def write(book, sheet):
            sheet.merge_range("A1:C1", "Отчёт за ноябрь")
            sheet.write_row(2, 0, ["Счет", "Сумма"])
            sheet.write_formula(3, 0, '="00"&"41"', None, "0041")
            sheet.write_formula(3, 1, "=5*2", None, 10)

        load("balances", workbook([], write), name="a.xlsx")
        assert staged("balances") == [("0041", 10, None, None, None)]

    def test_a_formula_that_failed_is_a_bad_line(self, check):
        def write(book, sheet):
            sheet.write_row(0, 0, ["account", "amount"])
            sheet.write_string(1, 0, "4100")
            sheet.write_formula(1, 1, "=1/0", None, "#DIV/0!")

        assert bad(check("balances", workbook([], write), name="a.xlsx"))[0][0] == 2

    def test_an_account_of_16_digits_stored_as_a_number_has_lost_some(self, check):
        upload = check("balances", workbook([["account", "amount"], [4100000000000001, 5]]))
        assert bad(upload) == [(2, "account", "4100000000000001", "digits_lost")]

    def test_a_sheet_that_does_not_begin_at_a1(self, load, staged):
        def write(book, sheet):
            sheet.write_row(4, 2, ["account", "amount"])
            sheet.write_row(5, 2, ["4100", 5])
            sheet.write_row(6, 2, ["4200", 0])

        upload = load("balances", workbook([], write), name="a.xlsx")
        assert staged("balances") == [("4100", 5, None, None, None)]
        assert bad(upload) == [(7, "amount", "0", "amount_zero")]

    def test_the_first_visible_sheet_with_something_in_it(self, load, staged):
        import xlsxwriter

        file = BytesIO()
        with xlsxwriter.Workbook(file) as book:
            hidden = book.add_worksheet("hidden")
            hidden.write_row(0, 0, ["account", "amount"])
            hidden.write_row(1, 0, ["9999", 1])
            book.add_worksheet("empty").activate()
            hidden.hide()
            sheet = book.add_worksheet("data")
            sheet.write_row(0, 0, ["account", "amount"])
            sheet.write_row(1, 0, ["4100", 1])
        load("balances", file.getvalue(), name="a.xlsx")
        assert [row[0] for row in staged("balances")] == ["4100"]


class TestOtherWorkbooks:
    ROWS = (["Счёт", "Сумма", "Действует по"], ["4100", 1234.5, date(2026, 12, 31)])

    @pytest.mark.parametrize("make", [old_workbook, open_document], ids=["xls", "ods"])
    def test_numbers_texts_and_dates_are_read_as_from_xlsx(self, load, staged, make):
        name = "a.xls" if make is old_workbook else "a.ods"
        upload = load("balances", make(self.ROWS), name=name)
        ends = datetime(2026, 12, 31, 20, 59, 59, tzinfo=UTC)
        assert staged("balances") == [("4100", Decimal("1234.50"), None, ends, None)]
        assert upload.layout["sheet"] == "Лист1"


class TestRefused:
    @pytest.mark.parametrize(
        ("content", "code"),
        [
            (b"MZ\x90\x00\x03\x00", "file_not_a_table"),
            (b"%PDF-1.7\n", "file_not_a_table"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 512, "workbook_damaged"),
            (old_workbook([["account", "amount"], ["4100", 5]])[:-3000], "workbook_damaged"),
            (b"<html><table></table></html>", "file_not_a_table"),
            (b"account;amount\n41\x0000;5\n", "file_not_a_table"),
            (b"\n\n;;;\n", "file_without_rows"),
            (b"\xef\xbb\xbf", "file_without_rows"),
            (b"PK\x03\x04 and then nothing", "workbook_damaged"),
            (workbook([["account", "amount"], ["4100", 5]])[:-200], "workbook_damaged"),
            (workbook([]), "file_without_rows"),
        ],
        ids=[
            "exe",
            "pdf",
            "no xls",
            "cut xls",
            "html",
            "nul",
            "empty",
            "bom",
            "stub",
            "cut",
            "no rows",
        ],
    )
    def test_what_is_no_table_is_called_by_its_name(self, check, content, code):
        upload = check("balances", content, name="Балансы.csv")
        assert (upload.state, upload.error_code) == (State.REFUSED, code)

    def test_a_workbook_with_a_password_is_called_so(self, check):
        """Excel wraps it into a compound file whose directory names the encrypted package."""
        name = "EncryptedPackage".encode("utf-16-le")
        content = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + name
        upload = check("balances", content, name="a.xlsx")
        assert upload.error_params == {"what": "a workbook with a password"}

    def test_another_document_of_opendocument(self, check):
        content = open_document([["account", "amount"]], mimetype="text")
        assert check("balances", content, name="a.odt").error_code == "file_not_a_table"

    def test_another_zip_file(self, check):
        file = BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("word/document.xml", "<w/>")
        assert check("balances", file.getvalue()).error_code == "file_not_a_table"

    def test_a_zip_bomb_ends_the_reading_process_alone(self, check):
        file = BytesIO(workbook([["account", "amount"], ["4100", 5]]))
        with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/worksheets/sheet2.xml", bytes(1 << 20))
            archive.getinfo("xl/worksheets/sheet2.xml").file_size = 1100 << 20
        upload = check("balances", file.getvalue(), name="a.xlsx")
        assert upload.error_code == "workbook_too_large"

    def test_a_sheet_that_claims_17_billion_cells(self, check):
        content = workbook([["account", "amount"], ["4100", 5]], far_away)
        upload = check("balances", content, name="a.xlsx")
        assert upload.error_code == "workbook_too_large"

    @pytest.mark.long
    def test_a_long_text_that_many_cells_share_is_never_multiplied_in_our_memory(self, check):
        """A workbook stores a text once, however many cells show it."""
        content = workbook([["account", "amount"], *[["x" * 32_000, 5]] * 1_500])
        assert len(content) < 100_000
        tracemalloc.start()
        try:
            upload = check("balances", content, name="a.xlsx")
            assert tracemalloc.get_traced_memory()[1] < 40 << 20
        finally:
            tracemalloc.stop()
        assert bad(upload)[0] == (2, "account", "x" * 100, "value_too_long")
        assert upload.bad == 1_500

    @pytest.mark.long
    def test_a_row_of_160_million_characters_ends_the_reading_process_alone(self, check):
        content = workbook([["account", "amount"], ["x" * 10_000] * 16_000])
        upload = check("balances", content, name="a.xlsx")
        assert upload.error_code == "workbook_too_large"

    def test_the_reading_process_is_never_larger_than_its_bound(self):
        assert spreadsheet.MEMORY <= 4 << 30


def date_time(day):
    return datetime(2026, 11, day)  # noqa: DTZ001 - a workbook knows no zones


def far_away(book, sheet):
    sheet.write(1_048_575, 16_383, "x")


class TestSecretsInOtherFiles:
    """PIN codes in a file that is read as something else."""

    FILE = "Счёт;Пин-код\n4100;73519\n4200;73518\n".encode()

    def test_what_a_heading_calls_a_secret_is_masked(self, check):
        upload = check("balances", self.FILE)
        assert upload.state == State.COLUMNS
        assert upload.layout["sample"] == (("4100", "•••••"), ("4200", "•••••"))

    @pytest.mark.parametrize("chosen", [{}, {"header": 1}], ids=["as it is", "by hand"])
    @pytest.mark.parametrize("kind", KINDS)
    def test_without_headings_only_the_form_of_the_cells_is_shown(self, check, kind, chosen):
        upload = check(kind, b"4100;73519;25.11.2026\n4200;73518;\n", **chosen)
        assert upload.state == State.COLUMNS
        assert "735" not in str(upload.layout)
        assert "••.••.••••" in str(upload.layout)

    @pytest.mark.parametrize("state", [State.DISCARDED, State.EXPIRED])
    def test_the_first_lines_go_when_the_file_is_closed(self, check, state):
        upload = check("balances", b"account;what\n4100;5\n")
        assert upload.layout["sample"]
        upload.close(state)
        upload.refresh_from_db()
        assert "sample" not in upload.layout

    @pytest.mark.parametrize("state", [State.DISCARDED, State.EXPIRED])
    def test_what_was_taken_for_sums_goes_when_the_file_is_closed(self, check, state):
        named = {"header": 0, "columns": {"account": 0, "amount": 1}}
        upload = check("balances", b"4100;73519\n4200;735.188\n", **named)
        assert bad(upload)
        upload.close(state)
        upload.refresh_from_db()
        assert "735" not in f"{upload.report} {upload.amount} {bad(upload)}"

    def test_the_first_lines_go_when_the_file_is_loaded(self, load):
        upload = load("balances", b"account;amount\n4100;5\n")
        upload.refresh_from_db()
        assert "sample" not in upload.layout
