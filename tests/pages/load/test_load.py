"""The pages of loading: who may, what they say, and that nothing happens by accident."""

import re
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
import xlsxwriter
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils.html import strip_tags

from tests.databases import query
from tests.pages.look import queries_of, told
from tests.trace.moving import move
from transfer.engine.kinds import KINDS
from transfer.loading import undo_load, upload_job
from transfer.models import Actor, AuditEntry, Settings, Upload

State = Upload.State
GOOD = "Счет;Сумма\n4100;10,50\n4200;-3\n".encode("cp1251")
MIXED = b"account;amount\n4100;10\n4200;0\n;5\n4300;ten\n"

pytestmark = pytest.mark.django_db


@pytest.fixture
def olga(shop_all, operator: Client) -> Client:
    return operator


def send(
    client: Client, content: bytes, kind: str = "balances", name: str = "Бонусы.csv"
) -> Upload:
    response = client.post(
        reverse("upload_file"), {"kind": kind, "file": SimpleUploadedFile(name, content)}
    )
    assert response.status_code == 302, response.content.decode()
    return Upload.objects.latest("pk")


def loaded(client: Client, content: bytes, kind: str = "balances") -> Upload:
    upload = send(client, content, kind)
    client.post(reverse("upload_confirm", args=[upload.pk]))
    return Upload.objects.get(pk=upload.pk)


def page(client: Client, upload: Upload) -> str:
    return client.get(reverse("upload", args=[upload.pk])).content.decode()


def staged(dsn: str, kind: str = "balances") -> int:
    ((rows,),) = query(dsn, f'select count(*) from "{KINDS[kind].staging}"')
    return rows


def test_a_file_is_shown_and_when_it_is_confirmed_the_good_lines_are_staged(olga, shop_all):
    upload = send(olga, MIXED)
    shown = page(olga, upload)
    assert "Бонусы.csv" in shown
    assert "This is not a number." in shown
    assert "Load 1 line" in shown
    assert shown.count("at once: 1. Bad lines are left out: 3.") == 1
    assert "or none" not in shown
    assert shown.count("left out") == 1
    assert staged(shop_all) == 0
    olga.post(reverse("upload_confirm", args=[upload.pk]))
    assert query(shop_all, 'select account, amount from "changeAccountBalanceTemp"') == [
        ("4100", 10)
    ]
    entry = AuditEntry.objects.get(action="load")
    assert (entry.who, entry.new["good"], entry.new["bad"]) == ("olga", 1, 3)
    assert not upload.pieces.exists()


def test_a_bad_amount_is_shown_as_people_type_it(olga):
    upload = send(olga, b"account;amount\n4100;12.345\n4200;1.2.3\n4300;5\n")
    olga.cookies["django_language"] = "ru"
    shown = page(olga, upload)
    assert ">12,345</td>" in shown
    assert ">1.2.3</td>" in shown


def test_confirming_twice_loads_once(olga, shop_all):
    upload = send(olga, GOOD)
    for _ in range(2):
        olga.post(reverse("upload_confirm", args=[upload.pk]))
    assert staged(shop_all) == 2


def test_loaded_once_more_while_shop_all_does_not_answer_it_stays_as_it_is(olga, settings):
    loaded(olga, GOOD)
    upload = send(olga, GOOD)
    settings.SHOP_ALL_DATABASE_URL = "host=127.0.0.1 port=1 dbname=x"
    answer = olga.post(reverse("upload_confirm", args=[upload.pk]))
    assert [tag for tag, _text in told(answer)] == ["bad"]
    upload.refresh_from_db()
    assert upload.state == State.READY


def test_the_same_content_again_is_warned_of_and_needs_a_tick(olga, shop_all):
    first = send(olga, GOOD)
    olga.post(reverse("upload_confirm", args=[first.pk]))
    olga.post(
        reverse("upload_file"), {"kind": "balances", "file": SimpleUploadedFile("b.csv", GOOD)}
    )
    second = Upload.objects.first()
    shown = page(olga, second)
    assert "Exactly these rows were loaded before" in shown
    assert "olga" in shown
    olga.post(reverse("upload_confirm", args=[second.pk]))
    assert staged(shop_all) == 2
    olga.post(reverse("upload_confirm", args=[second.pk]), {"again": "1"})
    assert staged(shop_all) == 4


def test_a_discarded_file_is_deleted_and_can_not_be_loaded_any_more(olga, shop_all):
    upload = send(olga, GOOD)
    olga.post(reverse("upload_discard", args=[upload.pk]))
    assert not upload.pieces.exists()
    olga.post(reverse("upload_confirm", args=[upload.pk]))
    upload.refresh_from_db()
    assert (upload.state, staged(shop_all)) == (State.DISCARDED, 0)


def test_columns_that_are_not_recognised_are_chosen_by_hand(olga, shop_all):
    upload = send(olga, b"4100;10\n4200;20\n")
    assert "Not all columns are recognised" in page(olga, upload)
    values = {"header": 0, "column_account": "0", "column_amount": "1"}
    incomplete = olga.post(reverse("upload_reading", args=[upload.pk]), {"header": 0})
    assert incomplete.status_code == 422
    olga.post(reverse("upload_reading", args=[upload.pk]), values)
    upload.refresh_from_db()
    assert (upload.state, upload.good, upload.bad) == (State.READY, 2, 0)


def test_one_column_can_not_be_two_things(olga):
    upload = send(olga, b"4100;10\n")
    values = {"header": 0, "column_account": "0", "column_amount": "0"}
    response = olga.post(reverse("upload_reading", args=[upload.pk]), values)
    assert "is given twice" in response.content.decode()


def test_another_sheet_is_chosen_by_hand(olga):
    file = BytesIO()
    with xlsxwriter.Workbook(file) as book:
        book.add_worksheet("Титул").write_row(0, 0, ["Отчёт", "о бонусах"])
        book.add_worksheet("Данные").write_row(0, 0, ["account", "amount"])
        book.get_worksheet_by_name("Данные").write_row(1, 0, ["4100", 5])
    upload = send(olga, file.getvalue(), name="a.xlsx")
    assert (upload.state, upload.layout["sheet"]) == (State.COLUMNS, "Титул")
    olga.post(reverse("upload_reading", args=[upload.pk]), {"sheet": "Данные", "header": 1})
    upload.refresh_from_db()
    assert (upload.state, upload.good) == (State.READY, 1)
    assert "“Данные”" in page(olga, upload)


def test_a_line_that_corrects_a_rejected_row_says_so_before_and_after(olga, rejected):
    (reject,) = rejected("balances", ("4100", 0))
    upload = send(olga, f"Rejected row no.;account;amount\n{reject.key};4100;5\n".encode())
    asked = page(olga, upload)
    assert reject.key in asked
    assert "1 line corrects a rejected row" in words(asked)
    olga.post(reverse("upload_confirm", args=[upload.pk]))
    assert "1 rejected row is closed with it" in words(page(olga, upload))
    content = f"account;amount;Rejected row no.\n4100;6;{reject.key}\n".encode()
    olga.post(
        reverse("upload_file"), {"kind": "balances", "file": SimpleUploadedFile("b.csv", content)}
    )
    refused = page(olga, Upload.objects.first())
    assert f'href="/rejects/?q={reject.key}&amp;state=all"' in refused


def words(text: str) -> str:
    return " ".join(text.split())


def test_moments_stand_in_the_zone_that_files_are_read_in(olga):
    olga.cookies["timezone"] = "Asia/Vladivostok"
    upload = send(olga, b"account;amount;validfrom;validto\n4100;5;2.1.2026;1.1.2026\n")
    assert page(olga, upload).count("01.01.2026 23:59:59") == 2


def test_another_encoding_is_chosen_by_hand(olga):
    """A name in Greek makes more Russian letters in CP1251 than the headings in CP866."""
    name = "Ελληνικά ονόματα χωρίς ρωσικά γράμματα".encode("cp1253", "ignore")
    upload = send(olga, "Счет;Сумма;ФИО\n41;5;".encode("cp866") + name + b"\n")
    assert upload.state == State.COLUMNS
    olga.post(reverse("upload_reading", args=[upload.pk]), {"encoding": "cp866", "header": 0})
    upload.refresh_from_db()
    assert (upload.state, upload.good) == (State.READY, 1)


def test_a_pin_code_is_on_no_page_and_in_no_table_of_ours(olga, caplog):
    content = "Счет;ПИН\n4100;73519\n;73519\n4200;7,3519E+4\n4300;73519;73519\n".encode("cp1251")
    upload = send(olga, content, "pincodes")
    shown = page(olga, upload)
    for form in ("csv", "xlsx"):
        response = olga.get(reverse("upload_bad_lines", args=[upload.pk, form]))
        shown += b"".join(response.streaming_content).decode(errors="replace")
    olga.post(reverse("upload_confirm", args=[upload.pk]))
    shown += page(olga, upload) + caplog.text
    shown += repr(list(Upload.objects.values())) + repr(list(upload.bad_lines.values()))
    shown += repr(list(AuditEntry.objects.values()))
    assert "73519" not in shown
    assert "7,3519E+4" not in shown
    assert "••••" in shown


def test_a_pin_code_is_on_no_page_when_its_column_is_not_recognised(olga):
    upload = send(olga, b"4100;73519\n4200;73519\n", "pincodes")
    assert upload.state == State.COLUMNS
    assert "73519" not in page(olga, upload) + repr(list(Upload.objects.values()))


def test_the_bad_lines_can_not_run_in_excel(olga):
    upload = send(olga, b"account;amount\n=cmd|' /C calc'!A0;5\n+1;@x\n")
    response = olga.get(reverse("upload_bad_lines", args=[upload.pk, "csv"]))
    lines = b"".join(response.streaming_content).decode("utf-8-sig").splitlines()
    assert "'=cmd" in lines[1]
    assert "'@x" in lines[2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_template_is_recognised_when_it_comes_back(olga, kind, language, form):
    olga.cookies["django_language"] = language
    response = olga.get(reverse("load_template", args=[kind, form]))
    content = b"".join(response) if form == "xlsx" else b"".join(response.streaming_content)
    upload = send(olga, content, kind, f"{kind}.{form}")
    assert upload.error_code == "file_without_rows"
    assert set(upload.layout["columns"]) == {column.name for column in KINDS[kind].columns}


def test_a_viewer_looks_and_is_offered_no_change(olga, log_in):
    upload = send(olga, GOOD)
    viewer = log_in("viewer", "vera")
    shown = page(viewer, upload)
    assert "10.5" in shown
    assert "Load 2 lines" not in shown
    assert "Choose a file" not in viewer.get(reverse("loads")).content.decode()


@pytest.mark.parametrize("content", [b"", b"MZ\x90"])
def test_a_file_that_is_none_is_refused_in_words(olga, content):
    response = olga.post(
        reverse("upload_file"),
        {"kind": "balances", "file": SimpleUploadedFile("Бонусы.exe", content)},
        follow=True,
    )
    shown = response.content.decode()
    assert "The file is empty." in shown or "a program" in shown


def test_nothing_chosen_says_so_at_the_fields(olga):
    response = olga.post(reverse("upload_file"))
    assert response.status_code == 422
    assert response.content.decode().count("errorlist") == 1


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (GOOD, "balances"),
        ("Отчёт;;\nКарта;Счёт;Статус\n778;4100;1\n".encode("cp1251"), "cards"),
        ("Номер карты,Счёт\n778,4100\n".encode(), "cards"),
        ("Счёт\tПин-код\n4100\t4711\n".encode("utf-16"), "pincodes"),
    ],
)
def test_what_is_in_a_file_is_found_out_by_its_headings(olga, content, kind):
    upload = send(olga, content, kind="")
    assert (upload.kind, upload.state, upload.bad) == (kind, State.READY, 0)


@pytest.mark.parametrize(
    "content", [b"4100;10\n4200;20\n", b"account;amount;pincode\n4100;10;4711\n", b"MZ\x90\x00"]
)
def test_where_the_headings_do_not_tell_somebody_has_to_and_nothing_is_kept(olga, content):
    file = SimpleUploadedFile("a.csv", content)
    response = olga.post(reverse("upload_file"), {"kind": "", "file": file})
    assert response.status_code == 422
    assert response.context["form"].errors
    assert not Upload.objects.exists()


def test_the_other_sheets_of_a_workbook_are_named(olga):
    file = BytesIO()
    with xlsxwriter.Workbook(file) as book:
        for name in ("Ноябрь", "Декабрь", "Заметки"):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, ["account", "amount"])
            sheet.write_row(1, 0, ["4100", 5])
    shown = " ".join(page(olga, send(olga, file.getvalue(), kind="", name="a.xlsx")).split())
    assert "sheet “Ноябрь”; not read: “Декабрь”, “Заметки”" in shown


def states_in_list(client: Client) -> list[str]:
    """The state of each load as the list shows it, the newest first."""
    return [strip_tags(table.draw_state(record)) for table, record in listed(client)]


def listed(client: Client) -> list[tuple[Any, Upload]]:
    table = client.get(reverse("loads")).context["table"]
    return [(table, row.record) for row in table.page.object_list]


def test_the_list_says_how_many_servers_each_load_has_reached(olga, dock, bonus, second_bonus):
    loaded(olga, b"account;amount\n4100;5\n")
    assert states_in_list(olga) == ["Loaded"]  # there is no server
    first, second = dock(bonus), dock(second_bonus, "Бонусный сервер 9")
    assert states_in_list(olga) == ["Arrived: 0 of 2"]
    move(first)
    assert states_in_list(olga) == ["Arrived: 1 of 2"]
    move(second)
    loaded(olga, b"account;amount\n4200;5\n")
    assert states_in_list(olga) == ["Arrived: 0 of 2", "Arrived: 2 of 2"]


def test_the_list_says_what_is_loaded_where_shop_all_does_not_answer(olga, dock, bonus, settings):
    loaded(olga, b"account;amount\n4100;5\n")
    dock(bonus)
    settings.SHOP_ALL_DATABASE_URL = "host=127.0.0.1 port=1 dbname=x"
    assert states_in_list(olga) == ["Loaded"]


def test_the_list_costs_as_much_for_many_loads_and_servers(olga, dock, bonus, second_bonus):
    loaded(olga, b"account;amount\n4100;5\n")
    dock(bonus)
    few = queries_of(olga, reverse("loads"))
    dock(second_bonus, "Бонусный сервер 9")
    for account in range(3):
        loaded(olga, b"account;amount\n420%d;5\n" % account)
    assert queries_of(olga, reverse("loads")) == few


def test_the_list_does_not_say_of_a_withdrawn_load_that_it_has_arrived(olga, dock, bonus):
    dock(bonus)
    withdrawn = loaded(olga, b"card;account;status\n7780000000011;4100000011;1\n", "cards")
    undo_load.order(withdrawn, Actor("olga"))
    upload_job.go_on(withdrawn.undo)
    assert "Arrived" not in " ".join(states_in_list(olga))


def test_a_load_of_the_api_is_named_by_its_program_and_time_and_found_by_its_key(olga):
    key = "5f1d7c1e-3f0e-4f6e-9a44-000000000001"
    upload = Upload.objects.create(
        kind="balances",
        name=key,
        created_by="1C (API)",
        input_method=Upload.InputMethod.API,
        created_at=datetime(2026, 11, 24, 11, 5, tzinfo=UTC),
        state=State.LOADED,
    )
    ((table, record),) = listed(olga)
    name, note = re.findall(">([^<>]+)<", table.draw_name(record))
    assert name == "1C (API), 2026-11-24 14:05"
    assert key in note
    assert key in page(olga, upload)


def test_the_undo_of_a_load_of_the_api_has_its_name(olga):
    upload = loaded(olga, b"account;amount\n4100;5\n")
    upload.saved.update(name="5f1d7c1e", created_by="1C (API)", input_method=Upload.InputMethod.API)
    undo = undo_load.order(Upload.objects.get(), Actor("olga"))
    assert str(undo).startswith("Undo of 1C (API), 20")


def test_the_preview_says_what_exceeds_the_loader_s_limits(olga):
    Settings.load().change(Actor("tests"), load_limit=13, day_limit=20)
    shown = page(olga, send(olga, GOOD))
    assert "A second person has to approve this." in shown
    assert "13.50, above the limit of a load, 13" in shown
    assert "Ask for approval" in shown
    assert "Once they are approved, the good lines go into" in shown
    Settings.load().change(Actor("tests"), load_limit=None)
    loaded(olga, GOOD)
    second = page(olga, send(olga, b"account;amount\n4300;7\n"))
    assert "20.50, above the limit, 20" in second  # of this day
    assert "of a load" not in second
    assert "A second person" not in page(olga, send(olga, b"account;amount\n4300;6\n"))
