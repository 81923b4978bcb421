"""The statement of a month is sent to whom the notifications name, once."""

import pytest
from django.urls import reverse
from django.utils import timezone
from python_calamine import CalamineWorkbook

from tests.pages.look import words
from tests.records import user
from transfer.alerts.words import body
from transfer.models import AuditEntry, Statement
from transfer.models.alerts import Notice, Recipient
from transfer.queue.worker import drain
from transfer.statements.document import Document

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("key")]


def recipient(name, **fields):
    values = {"channel": "mail", "address": f"{name}@shop.example", "language": "en"}
    return Recipient.objects.create(
        name=name, **values | {"topics": [], "statements": True} | fields
    )


def parts(mail):
    return {one.get_filename(): one.get_payload(decode=True) for one in mail.walk()}


def test_a_mail_brings_the_signed_file_byte_for_byte_and_the_workbook(
    february_over, inbox, settings, tmp_path
):
    settings.SITE_URL = "https://dtadmin.shop.local"
    recipient("olga")
    recipient("ivan", statements=False)
    recipient("anna", enabled=False)
    february_over()
    february_over(1)
    drain(lambda: 0)
    (mail,) = inbox.mails
    made = Statement.objects.get()
    assert mail["To"] == "olga@shop.example"
    assert mail["Subject"] == "Data Transfer: the statement of 2026-02-01 to 2026-02-28"
    files = parts(mail)
    assert files["statement-1.json"] == made.document.encode()
    assert Document.read(files["statement-1.json"]).digest == made.digest
    (tmp_path / "it.xlsx").write_bytes(files["statement-1.xlsx"])
    sheet = CalamineWorkbook.from_path(tmp_path / "it.xlsx").get_sheet_by_index(0).to_python()
    assert ["Balance changes", "Shop All", "Staged", 1.0, 5.0] in sheet
    text = next(one for one in mail.walk() if one.get_content_type() == "text/plain")
    assert made.digest in text.get_payload(decode=True).decode()
    assert f"https://dtadmin.shop.local{made.get_absolute_url()}" in (
        text.get_payload(decode=True).decode()
    )


def test_it_is_tried_again_when_mail_was_down_and_sent_once(february_over, inbox, settings):
    recipient("olga")
    port, settings.EMAIL_PORT = settings.EMAIL_PORT, 1
    february_over()
    drain(lambda: 0)
    notice = Notice.objects.get()
    assert notice.sent_at is None
    assert notice.error_code
    settings.EMAIL_PORT = port
    Notice.objects.update(retry_at=timezone.now())
    for again in Notice.objects.pending():
        again.enqueue()
    drain(lambda: 0)
    drain(lambda: 0)
    assert len(inbox.mails) == 1


def test_the_audit_says_to_whom(february_over, client):
    recipient("olga")
    recipient("ivan", channel="webhook", address="https://shop.example/hook")
    february_over()
    entry = AuditEntry.objects.get(action="statement")
    assert entry.new["sent_to"] == ["ivan", "olga"]
    client.force_login(user("administrator", "anna"))
    client.cookies["django_language"] = "en"
    said = words(client.get(reverse("audit")))
    assert "sent to" in said
    assert "olga" in said


def test_another_channel_says_that_there_is_one(february_over, in_english):
    recipient("ivan", channel="webhook", address="https://shop.example/hook")
    february_over()
    said = body(Notice.objects.get())
    assert said.startswith("Statement 1 of 2026-02-01 to 2026-02-28")


def test_nothing_is_sent_of_a_statement_that_could_not_be_made(february_over, settings, tmp_path):
    recipient("olga")
    settings.STATEMENT_KEY = str(tmp_path / "none.pem")
    with pytest.raises(Exception, match=r"none\.pem"):
        february_over()
    assert not Notice.objects.exists()
    assert not Statement.objects.exists()
