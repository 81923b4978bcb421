"""Messages as they arrive: at a real mail server, a real webhook, a real messenger."""

import json
from datetime import timedelta
from email.header import decode_header, make_header

import pytest
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from tests.records import a_notice, a_recipient, server
from transfer.alerts import scheduler_watchdog
from transfer.alerts.send import deliver, signature
from transfer.models import Heartbeat
from transfer.models.alerts import Notice
from transfer.queue.jobs import work_off
from transfer.queue.worker import drain
from transfer.tick import tick

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_mail_says_what_is_wrong_in_the_recipients_language_and_where(inbox, settings):
    settings.SITE_URL = "https://dtadmin.shop.local/"
    deliver(a_notice(a_recipient("mail", "olga@shop.example")))
    (mail,) = inbox.mails
    assert mail["To"] == "olga@shop.example"
    assert (
        str(make_header(decode_header(mail["Subject"]))) == "На углу: 2 кассы не на связи уже сутки"
    )
    text = mail.get_payload(decode=True).decode()
    assert "Касса 1, Касса 2" in text
    assert "https://dtadmin.shop.local/registers/?shop=1" in text


def test_a_webhook_is_signed_as_standard_webhooks_has_it(listener):
    recipient = a_recipient(
        "webhook", f"http://127.0.0.1:{listener.server_port}/hook", language="en"
    )
    notice = a_notice(recipient)
    deliver(notice)
    ((headers, body),) = listener.posts
    assert headers["webhook-id"] == f"notice_{notice.pk}"
    signed = signature(
        recipient.signing_key, headers["webhook-id"], headers["webhook-timestamp"], body
    )
    assert headers["webhook-signature"] == signed
    payload = json.loads(body)
    assert payload["type"] == "registers.began"
    assert payload["data"]["subject"] == "На углу: 2 registers have not been seen for a day"


def test_the_signature_is_that_of_the_standards_own_example():
    """The example of the specification at standardwebhooks.com, with its key."""
    key = "whsec_plJ3nmyCDGBKInavdOK15jsl"
    body = b'{"event_type":"ping","data":{"success":true}}'
    made = signature(key, "msg_loFOjxBNrRLzqYUf", "1731705121", body)
    assert made == "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="


@pytest.mark.filterwarnings("ignore:'imghdr'")
def test_a_messenger_is_reached_by_apprise(listener):
    deliver(a_notice(a_recipient("apprise", f"json://127.0.0.1:{listener.server_port}/")))
    ((_headers, body),) = listener.posts
    assert json.loads(body)["title"] == "На углу: 2 кассы не на связи уже сутки"


def test_what_was_not_taken_is_sent_again_and_is_a_problem_of_the_recipient_until_then(
    listener, in_english
):
    recipient = a_recipient("webhook", f"http://127.0.0.1:{listener.server_port}/", topics=[])
    notice = a_notice(recipient)
    notice.enqueue()
    listener.answer = 503
    drain(lambda: 0)
    recipient.refresh_from_db()
    assert recipient.failing_since is not None
    assert "HTTP 503" in str(recipient.explained)
    notice.refresh_from_db()
    assert notice.sent_at is None
    tick("cron")
    drain(lambda: 0)
    assert len(listener.posts) == 1  # not yet
    listener.answer = 200
    Notice.objects.update(retry_at=timezone.now())
    tick("cron")
    drain(lambda: 0)
    assert len(listener.posts) == 2
    recipient.refresh_from_db()
    assert recipient.failing_since is None


def test_a_mail_server_that_is_down_is_named_and_no_address_quoted(settings, in_english):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    notice = a_notice(a_recipient("mail", "olga@shop.example"))
    notice.do(lambda: deliver(notice))
    notice.refresh_from_db()
    assert "The mail server 127.0.0.1 does not answer" in str(notice.explained)
    assert "check EMAIL_HOST" in str(notice.explained)


def test_why_a_mail_server_refuses_is_a_sentence(inbox, in_english):
    inbox.refuses = "550 no such user"
    notice = a_notice(a_recipient("mail", "olga@shop.example"))
    notice.do(lambda: deliver(notice))
    notice.refresh_from_db()
    words = str(notice.explained)
    assert "did not accept the message: it refuses the recipient’s address." in words
    assert "SMTP" not in words
    assert "olga@shop.example" not in words + notice.error_technical


def test_a_message_that_is_rejected_without_a_reason_is_told_in_one_sentence(inbox, in_english):
    inbox.rejects = "554 no"
    notice = a_notice(a_recipient("mail", "olga@shop.example"))
    notice.do(lambda: deliver(notice))
    notice.refresh_from_db()
    assert str(notice.explained).startswith("The mail server 127.0.0.1 rejected the message. Check")


def test_while_the_scheduler_is_silent_the_web_process_tells(inbox):
    server()
    a_recipient("mail", "olga@shop.example", topics=["scheduler"], language="en")
    Heartbeat.beat("shop: cron", timezone.now() - timedelta(minutes=2))
    scheduler_watchdog.look_at_scheduler()
    assert inbox.mails == []
    Heartbeat.beat("shop: cron", timezone.now() - timedelta(minutes=10))
    scheduler_watchdog.look_at_scheduler()
    scheduler_watchdog.look_at_scheduler()
    (mail,) = inbox.mails
    assert mail["Subject"].startswith("The scheduler has been silent since")
    tick("cron")
    drain(lambda: 0)
    assert inbox.mails[-1]["Subject"].startswith("Resolved: The scheduler has been silent")


def test_without_a_worker_the_web_process_sends_the_message(inbox):
    server()
    a_recipient("mail", "olga@shop.example", topics=["scheduler"], language="en")
    Heartbeat.beat("shop: run_due_tasks --no-drain")
    work_off.enqueue("transferrun", 1)
    scheduler_watchdog.look_at_scheduler()
    assert inbox.mails == []
    DBTaskResult.objects.update(enqueued_at=timezone.now() - timedelta(seconds=40))
    scheduler_watchdog.look_at_scheduler()
    (mail,) = inbox.mails
    assert mail["Subject"].startswith("Jobs have waited in the queue since")
