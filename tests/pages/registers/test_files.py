"""Registers as a file: out, and in again with a preview."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from transfer.models import CashRegister

pytestmark = pytest.mark.django_db


def load(client, content: bytes):
    file = SimpleUploadedFile("registers.csv", content)
    return client.post(reverse("register_import"), {"file": file})


def confirm(client, page):
    data = {"text": page.context["text"], "confirmed": "1"}
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


def test_a_bad_line_is_named_and_nothing_is_imported(operator):
    page = load(operator, (FILE + "1;a/b;x\n1;17;twice\n;;\n;18;no shop\n").encode())
    problems = {line.number: line.problem for line in page.context["plan"].bad}
    assert set(problems) == {4, 5, 7}
    assert "line 3" in problems[5]
    shown = [row.record.number for row in page.context["table"].rows]
    assert shown == [4, 5, 7, 2, 3], "the bad ones first"
    confirm(operator, page)
    assert not CashRegister.objects.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"a;b\n1;2\n", "Магазин;Код\n".encode()])
def test_what_is_no_table_of_registers_is_refused(operator, content):
    page = load(operator, content)
    assert b"notice-bad" in page.content or b"errorlist" in page.content


def test_one_shop_has_one_name(operator):
    lines = "Магазин;Название магазина;Код\n1;Ленина, 5;a\n1;;b\n1;Пушкина, 10;c\n"
    (bad,) = load(operator, lines.encode()).context["plan"].bad
    assert (bad.number, bad.problem) == (
        4,
        "The shop has another name in line 2: Ленина, 5.",
    )


def test_a_quotation_mark_that_is_never_closed_is_told_of(operator):
    page = load(operator, (FILE + '1;x;"Касса\n' + "1;y;z\n" * 40_000).encode())
    assert "a quotation mark that opens a cell is never closed" in page.text


def test_a_file_of_five_thousand_registers_in_russian_comes_back_with_its_confirmation(operator):
    lines = "".join(f"{n // 5};k{n};Касса самообслуживания № {n}\n" for n in range(20_000))
    page = load(operator, ("Магазин;Код;Название кассы\n" + lines).encode("cp1251"))
    assert b'enctype="multipart/form-data"' in page.content
    confirm(operator, page)
    assert CashRegister.objects.count() == 20_000


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
    assert plan.unread == ["Server 8", "Server 9"]
    assert "Server 8, Server 9." in page.text
    confirm(operator, page)
    assert CashRegister.objects.filter(mothballed=True).count() == 1
    assert CashRegister.objects.filter(name="Касса у входа").count() == 1
