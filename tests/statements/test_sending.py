"""The statement of a month is sent to whom the notifications name, once."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.urls import reverse
from django.utils import timezone
from python_calamine import CalamineWorkbook

from tests.databases import query, stage
from tests.pages.look import words
from tests.records import user
from transfer.alerts.words import body
from transfer.engine.shop_all.source import ShopAll
from transfer.models import Actor, AuditEntry, Statement
from transfer.models.alerts import Notice, Recipient
from transfer.queue.worker import drain
from transfer.statements.document import Document
from transfer.statements.keep import make_monthly

pytestmark = pytest.mark.django_db(transaction=True)
FIRST_OF_MONTH = datetime(2026, 3, 1, 6, tzinfo=ZoneInfo("Europe/Moscow"))


def recipient(name, **fields):
    values = {"channel": "mail", "address": f"{name}@shop.example", "language": "en"}
    return Recipient.objects.create(
        name=name, **values | {"topics": [], "statements": True} | fields
    )


@pytest.fixture
def month_over(task, shop_all, key):
    """February has a row; returns what makes its statement, as the task does each day."""
    stage(shop_all, "balances", [("4100", 5)])
    with ShopAll(shop_all, "tests", secret=False) as source:
        source.log_writer.append(task.kind_spec)
    query(shop_all, "update datatransfer.log set appended_at = '2026-02-10 12:00+03'")

    def make(days=0):
        [*make_monthly(Actor(""), FIRST_OF_MONTH + timedelta(days))]

    return make


def parts(mail):
    return {one.get_filename(): one.get_payload(decode=True) for one in mail.walk()}


def test_a_mail_brings_the_signed_file_byte_for_byte_and_the_workbook(
    month_over, inbox, settings, tmp_path
):
    settings.SITE_URL = "https://dtadmin.shop.local"
    recipient("olga")
    recipient("ivan", statements=False)
    recipient("anna", enabled=False)
    month_over()
    month_over(1)
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


def test_it_is_tried_again_when_mail_was_down_and_sent_once(month_over, inbox, settings):
    recipient("olga")
    port, settings.EMAIL_PORT = settings.EMAIL_PORT, 1
    month_over()
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


def test_the_audit_says_to_whom(month_over, client):
    recipient("olga")
    recipient("ivan", channel="webhook", address="https://shop.example/hook")
    month_over()
    entry = AuditEntry.objects.get(action="statement")
    assert entry.new["sent_to"] == ["ivan", "olga"]
    client.force_login(user("administrator", "anna"))
    client.cookies["django_language"] = "en"
    said = words(client.get(reverse("audit")))
    assert "sent to" in said
    assert "olga" in said


def test_another_channel_says_that_there_is_one(month_over, in_english):
    recipient("ivan", channel="webhook", address="https://shop.example/hook")
    month_over()
    said = body(Notice.objects.get())
    assert said.startswith("Statement 1 of 2026-02-01 to 2026-02-28")


def test_nothing_is_sent_of_a_statement_that_could_not_be_made(month_over, settings, tmp_path):
    recipient("olga")
    settings.STATEMENT_KEY = str(tmp_path / "none.pem")
    with pytest.raises(Exception, match=r"none\.pem"):
        month_over()
    assert not Notice.objects.exists()
    assert not Statement.objects.exists()
