import csv
import io
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import translation
from python_calamine import CalamineWorkbook

from tests.records import a_recipient, server as a_server
from transfer.engine.kind import MASK
from transfer.models import (
    AccountJob,
    Actor,
    AuditEntry,
    BonusServer,
    RejectedRow,
    TransferTask,
    Upload,
)
from transfer.models.audit import PEOPLE
from transfer.pages.parts import audit_sentences, audit_words

IVAN = Actor("ivan", address="10.0.0.7")


@pytest.fixture
def task() -> TransferTask:
    """Switched on, and off again for a reason."""
    task = a_server("Восемь").tasks.get(kind="pincodes")
    task.switch(True, IVAN)
    task.switch(False, Actor("olga"), reason="касса сломалась")
    return task


@pytest.mark.parametrize(
    ("language", "done"),
    [
        ("ru", 'Выключена <a href="{}">задача «Пин-коды → Восемь»</a>: <b>olga</b>'),
        ("en", '<b>olga</b> switched off <a href="{}">the task “PIN codes → Восемь”</a>'),
    ],
)
def test_an_entry_is_a_sentence_that_leads_to_what_it_is_about(admin_client, task, language, done):
    admin_client.cookies["django_language"] = language
    page = admin_client.get("/audit/").text
    assert done.format(f"/scheduler/transfer-{task.pk}/") in page
    assert "касса сломалась" in page


def test_what_is_gone_is_named_without_a_link(admin_client):
    server = a_server("Восемь")
    AuditEntry.record(IVAN, AuditEntry.Action.DELETE, server)
    url = server.get_absolute_url()
    assert url in admin_client.get("/audit/").text
    BonusServer.objects.all().delete()
    page = admin_client.get("/audit/").text
    assert "Восемь" in page
    assert url not in page


def test_what_a_recipient_is_told_of_has_a_name(admin_client):
    old, new = {"topics": ["failures"]}, {"topics": ["late"]}
    AuditEntry.record(
        IVAN, AuditEntry.Action.CHANGE, a_recipient("mail", "o@x.ru"), old=old, new=new
    )
    page = admin_client.get("/audit/").text
    assert "о чём сообщать:" in page
    assert "topics" not in page.partition("<main")[2].partition("filter")[0]


def test_every_action_has_its_sentence():
    assert set(AuditEntry.Action.values) - audit_sentences.SENTENCES.keys() == set()


def test_names_in_a_sentence_are_text_and_no_markup(admin_client):
    AuditEntry.record(Actor("<i>ivan"), AuditEntry.Action.DELETE, a_server("<b>8 %(who)s"))
    page = admin_client.get("/audit/").text
    assert "&lt;i&gt;ivan" in page
    assert "&lt;b&gt;8 %(who)s" in page


@pytest.mark.parametrize("words", ["olga", "Восе", "сломалась", "касса olga"])
def test_a_search_finds_names_values_and_reasons_by_how_they_begin(admin_client, task, words):
    page = admin_client.get("/audit/", {"q": words, "action": "switch"}).text
    assert "сломалась" in page
    nothing = admin_client.get("/audit/", {"q": f"{words} нетого"}).text
    assert "Под фильтр не подходит ни одна запись" in nothing


def test_a_search_reads_no_entry_that_has_not_the_word(db, task):
    first, fields = AuditEntry.objects.latest("pk"), AuditEntry._meta.concrete_fields[1:]
    one = {field.attname: getattr(first, field.attname) for field in fields}
    AuditEntry.objects.bulk_create(AuditEntry(**one) for _ in range(3000))
    with connection.cursor() as cursor:
        cursor.execute("analyze transfer_auditentry")
    plan = AuditEntry.objects.search("нетого")[:26].explain(analyze=True)
    assert "audit_by_words" in plan
    assert "Rows Removed" not in plan


def test_the_people_of_the_filter_are_found_without_reading_their_entries(admin_client, task):
    first, fields = AuditEntry.objects.latest("pk"), AuditEntry._meta.concrete_fields[1:]
    one = {field.attname: getattr(first, field.attname) for field in fields}
    names = ["ivan", "olga", "", f"{MASK} 12345678"] * 3000
    AuditEntry.objects.bulk_create(AuditEntry(**one | {"who": name}) for name in names)
    shown = admin_client.get("/audit/").context["filter"].form.fields["who"].choices
    assert [name for name, _words in shown] == ["", "ivan", "olga", MASK]
    with connection.cursor() as cursor:
        cursor.execute("analyze transfer_auditentry")
        cursor.execute(f"explain (analyze) {PEOPLE}", {"mask": f"{MASK}%"})
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert plan.count("audit_by_person") == 2
    assert "Seq Scan" not in plan


def test_what_is_found_is_a_file_too(admin_client, task):
    text = admin_client.get("/audit/export.csv", {"q": "сломалась"}).getvalue().decode("utf-8-sig")
    heading, *lines = csv.reader(io.StringIO(text), delimiter=";")
    [line] = lines
    assert line[1] == "olga"
    assert line[-1] == "касса сломалась"
    assert len(line) == len(heading)
    book = b"".join(admin_client.get("/audit/export.xlsx").streaming_content)
    rows = CalamineWorkbook.from_filelike(io.BytesIO(book)).get_sheet_by_index(0).to_python()
    assert [row[1] for row in rows][:3] == ["Кто", "olga", "ivan"]


@pytest.mark.parametrize(
    ("language", "words"),
    [("ru", "Заказано создание учётных записей"), ("en", "had accounts created on")],
)
def test_what_was_done_to_many_accounts_is_told_in_words(
    admin_client, dock, bonus, language, words
):
    AccountJob.order(dock(bonus), AccountJob.Action.CREATE, [], IVAN)
    admin_client.cookies["django_language"] = language
    page = admin_client.get("/audit/").text
    assert words in page
    assert "</span>create</b>" not in page


@pytest.mark.parametrize(
    ("input_method", "words"),
    [("hand", "made a change by hand"), ("undo", "took a load back"), ("file", "loaded rows")],
)
def test_a_load_is_told_by_its_way(admin_client, input_method, words):
    upload = Upload.objects.create(
        kind="balances", name="a file", input_method=input_method, confirmed_by="ivan"
    )
    upload.note_loaded(1, str(uuid4()))
    admin_client.cookies["django_language"] = "en"
    assert words in admin_client.get("/audit/").text


def test_how_many_rows_were_discarded_at_once_is_told_in_russian(admin_client):
    AuditEntry.record(
        IVAN, AuditEntry.Action.DISCARD, RejectedRow(kind="balances"), new={"rows": 12}
    )
    page = admin_client.get("/audit/").text
    assert "строк:" in page
    assert "rows:" not in page


def test_what_was_done_for_a_person_later_was_not_done_at_the_command_line():
    entries = [
        AuditEntry(who="anna", address="10.0.0.7"),
        AuditEntry(who="anna"),  # planned work that begins
        AuditEntry(who=Actor.at_command_line().name),
        AuditEntry(who="manage.py"),
    ]
    with translation.override("en"):
        assert [audit_words.from_where(one) for one in entries] == [
            "10.0.0.7",
            "the program itself",
            "command line",
            "command line",
        ]
