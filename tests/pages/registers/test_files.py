"""Registers as a file: out, and in again with a preview."""

import io
import os
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from tests.uploads import workbook
from transfer.models import CashRegister

pytestmark = pytest.mark.django_db


def load(client, content: bytes, name: str = "registers.csv"):
    file = SimpleUploadedFile(name, content)
    return client.post(reverse("register_import"), {"file": file})


def confirm(client, page):
    data = {"content": page.context["content"], "confirmed": "1"}
    return client.post(reverse("register_import"), data)


FILE = "Магазин;Код;Название кассы\n1;10.152;10.152\n111;17;Касса 17\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
def test_a_file_is_shown_first_and_saved_when_confirmed(operator, encoding):
    page = load(operator, FILE.encode(encoding))
    assert [line.name for line in page.context["plan"].new] == ["10.152", "Касса 17"]
    assert not CashRegister.objects.exists()
    confirm(operator, page)
    assert set(CashRegister.objects.values_list("code", "name", "shop__code")) == {
        ("10.152", "10.152", "1"),
        ("17", "Касса 17", "111"),
    }
    again = load(operator, FILE.encode(encoding))
    assert len(again.context["plan"].same) == 2
    assert not again.context["may_save"]


@pytest.mark.parametrize("encoding", ["utf-8", "cp1251", "utf-16"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
def test_a_csv_file_is_read_however_it_is_written(operator, encoding, delimiter):
    page = load(operator, FILE.replace(";", delimiter).encode(encoding))
    assert [line.name for line in page.context["plan"].new] == ["10.152", "Касса 17"]


def test_a_workbook_of_excel_is_shown_first_and_saved_when_confirmed(operator):
    """Its codes may be numbers, and its yes and no those of Excel."""
    headings = ["Магазин", "Название магазина", "Код", "Название кассы"]
    rows: list[list[Any]] = [
        ["Кассы магазинов на июль"],
        [*headings, "Консервация", "Примечание"],
        [1, "Ленина, 5", 10.152, "", False, "у входа"],
        [],
        ["007", "", "0017", "Касса 17", True],
    ]
    content = workbook(rows)
    page = load(operator, content, "registers.xlsx")
    plan = page.context["plan"]
    assert [line.number for line in plan.new] == [3, 5]
    assert plan.ignored == ["Примечание"]
    assert "Касса 17" in page.text
    confirm(operator, page)
    assert set(
        CashRegister.objects.values_list("code", "name", "mothballed", "shop__code", "shop__name")
    ) == {
        ("10.152", "10.152", False, "1", "Ленина, 5"),
        ("0017", "Касса 17", True, "007", ""),
    }
    assert len(load(operator, content, "registers.xlsx").context["plan"].same) == 2


@pytest.mark.parametrize("code", ["10.0", "1E5", "00"])
def test_a_code_that_looks_like_a_number_stays_as_it_is_written(operator, code):
    confirm(operator, load(operator, f"Магазин;Код\n1;{code}\n".encode()))
    assert CashRegister.objects.get().code == code


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The submitted file is empty."),
        (b"PK\x03\x04", "The workbook is damaged and can&#x27;t be read."),
        (b"%PDF-1.7", "This is not a table, but a PDF document."),
        (b"a;b\n1;2\n", "The columns Shop, Code are not recognised in the file."),
        ("Магазин;Код;Касса\n1;2;3\n".encode(), "Name each of them once"),
        ("Магазин;Код\n".encode(), "The file has no line with data."),
        pytest.param(
            b"shop;code\n" + b"1;2\n" * 50_001,
            "The file has more than 50,000 lines.",
            marks=pytest.mark.long,
        ),
        (b"shop;code\n" + b"1;2\n" * 600_000, "The file is larger than 2 MB."),
    ],
)
def test_a_file_that_can_not_be_read_says_why_and_what_to_do(operator, content, sentence):
    page = load(operator, content)
    assert sentence in page.text
    assert not CashRegister.objects.exists()


def test_a_file_of_two_megabytes_that_does_not_shrink_comes_back_with_its_confirmation(operator):
    content = io.BytesIO(workbook([["Магазин", "Код"], [1, 17]]))
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr("xl/media/logo.jpg", os.urandom((2 << 20) - 10_000))
    page = load(operator, content.getvalue())
    assert confirm(operator, page).status_code == 302
    assert CashRegister.objects.get().code == "17"


def test_a_confirmation_without_its_file_saves_nothing(operator):
    page = operator.post(reverse("register_import"), {"confirmed": "1", "content": "?"})
    assert "The file can&#x27;t be read." in page.text


def test_a_bad_line_is_named_and_nothing_is_imported(operator):
    page = load(operator, (FILE + "1;a/b;x\n1;17;twice\n;;\n;18;no shop\n").encode())
    problems = {line.number: line.problem for line in page.context["plan"].bad}
    assert set(problems) == {4, 5, 7}
    assert "line 3" in problems[5]
    shown = [row.record.number for row in page.context["table"].rows]
    assert shown == [4, 5, 7, 2, 3], "the bad ones first"
    confirm(operator, page)
    assert not CashRegister.objects.exists()


def test_one_shop_has_one_name(operator):
    lines = "Магазин;Название магазина;Код\n1;Ленина, 5;a\n1;;b\n1;Пушкина, 10;c\n"
    (bad,) = load(operator, lines.encode()).context["plan"].bad
    assert (bad.number, bad.problem) == (
        4,
        "The shop has another name in line 2: Ленина, 5.",
    )


def test_a_quotation_mark_that_is_never_closed_is_told_of(operator):
    page = load(operator, (FILE + '1;x;"Касса\n' + "1;y;z\n" * 40_000).encode())
    assert "Line 4 has a cell that is far too long." in page.text
    assert "a quote is opened there and not closed" in page.text


@pytest.mark.long
def test_a_file_of_ten_thousand_registers_in_russian_comes_back_with_its_confirmation(operator):
    lines = "".join(
        f"{n // 5};k{n};Касса самообслуживания у выхода в зал № {n}\n" for n in range(10_000)
    )
    page = load(operator, ("Магазин;Код;Название кассы\n" + lines).encode("cp1251"))
    assert b'enctype="multipart/form-data"' in page.content
    confirm(operator, page)
    assert CashRegister.objects.count() == 10_000


@pytest.mark.parametrize(
    ("language", "online", "no", "yes"),
    [("en", "Online", "no", "yes"), ("ru", "На связи", "нет", "да")],
)
def test_what_was_exported_can_be_brought_back_changed(
    operator, servers, registers, with_accounts, language, online, no, yes
):
    some = registers(3)
    with_accounts(servers[0], some[:1])
    operator.cookies["django_language"] = language
    page = operator.get(reverse("register_export"))
    text = b"".join(page.streaming_content).decode("utf-8-sig")
    assert online in text
    changed = text.replace("Касса 00001", "Касса у входа").replace(no, yes, 1)
    page = load(operator, changed.encode())
    plan = page.context["plan"]
    assert (len(plan.new), len(plan.changed), len(plan.same)) == (0, 2, 1)
    assert plan.ignored == ["Server 8", "Server 9"]
    assert "Server 8, Server 9." in page.text
    confirm(operator, page)
    assert CashRegister.objects.filter(mothballed=True).count() == 1
    assert CashRegister.objects.filter(name="Касса у входа").count() == 1
