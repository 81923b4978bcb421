"""Telegram, Mattermost and Slack: what they get, and why they do not."""

import json

import pytest

from tests import misbehaving
from tests.causes import raises
from tests.messengers import (
    BOT_TOKEN,
    MATTERMOST_KEY,
    MAX_TOKEN,
    SLACK_HOOK,
    refused_by_mattermost,
    refused_by_telegram,
)
from tests.records import a_notice, a_recipient
from transfer.alerts.messengers import MESSENGERS, in_parts
from transfer.alerts.send import deliver
from transfer.causes.messages import (
    BOT_TOKEN_REJECTED,
    MESSENGER_CHANNEL_GONE,
    MESSENGER_CHAT_CLOSED,
    MESSENGER_CHAT_UNKNOWN,
    TELEGRAM_CHAT_MOVED,
    WEBHOOK_CHANNEL_LOCKED,
    WEBHOOK_GONE,
    WEBHOOK_MAY_NOT_POST,
    WEBHOOKS_OFF,
)
from transfer.models.alerts import Recipient

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore:'imghdr'"),
]


def in_telegram(token=BOT_TOKEN, chat="-1001234", **fields):
    return a_notice(a_recipient("telegram", token, chat=chat, **fields))


def in_max(token=MAX_TOKEN, chat="-68942115"):
    return a_notice(a_recipient("max", token, chat=chat))


def in_slack(hook=SLACK_HOOK):
    return a_notice(a_recipient("slack", hook))


def in_mattermost(address, channel=None):
    return a_notice(a_recipient("mattermost", address, chat=channel))


def failed(notice):
    """What the recipient's page says of a message that did not arrive."""
    notice.do(lambda: deliver(notice))
    notice.refresh_from_db()
    assert notice.sent_at is None
    return notice


def explained(notice):
    return str(failed(notice).explained)


@pytest.mark.parametrize("chat", ["-1001234", "@shop_alerts"])
def test_telegram_gets_the_message_as_text(telegram, chat, settings):
    settings.SITE_URL = "https://dtadmin.shop.local"
    notice = in_telegram(chat=chat)
    notice.incident.params["shop"] = notice.params["shop"] = "Кафе <Мост> & Ко"
    notice.incident.save()
    deliver(notice)
    (message,) = telegram.messages
    assert str(message["chat_id"]) == chat
    assert "Кафе &lt;Мост&gt; &amp; Ко: 2 кассы не на связи уже сутки" in message["text"]
    assert "https://dtadmin.shop.local/registers/" in message["text"]


def long(notice):
    notice.incident.params["names"] = notice.params["names"] = "Касса, " * 1000
    return notice


def test_a_long_message_reaches_telegram_in_parts(telegram):
    deliver(long(in_telegram()))
    assert len(telegram.messages) > 1
    assert sum(one["text"].count("Касса,") for one in telegram.messages) >= 999


@pytest.mark.parametrize(
    ("channel", "answer", "cause"),
    [
        ("telegram", refused_by_telegram(401, "Unauthorized"), BOT_TOKEN_REJECTED),
        ("telegram", refused_by_telegram(404, "Not Found"), BOT_TOKEN_REJECTED),
        (
            "telegram",
            refused_by_telegram(400, "Bad Request: chat not found"),
            MESSENGER_CHAT_UNKNOWN,
        ),
        (
            "telegram",
            refused_by_telegram(400, "Bad Request: group chat was upgraded to a supergroup chat"),
            TELEGRAM_CHAT_MOVED,
        ),
        (
            "telegram",
            refused_by_telegram(403, "Forbidden: bot was kicked from the supergroup chat"),
            MESSENGER_CHAT_CLOSED,
        ),
        (
            "telegram",
            refused_by_telegram(400, "Bad Request: not enough rights to send text messages"),
            MESSENGER_CHAT_CLOSED,
        ),
        ("telegram", refused_by_telegram(500, "Internal Server Error"), None),
        ("telegram", (502, "<html>"), None),
        ("slack", (404, "no_service"), WEBHOOK_GONE),
        ("slack", (403, "invalid_token"), WEBHOOK_GONE),
        ("slack", (404, "channel_not_found"), MESSENGER_CHANNEL_GONE),
        ("slack", (410, "channel_is_archived"), MESSENGER_CHANNEL_GONE),
        ("slack", (403, "action_prohibited"), WEBHOOK_MAY_NOT_POST),
        ("slack", (500, "rollup_error"), None),
        (
            "mattermost",
            refused_by_mattermost(400, "web.incoming_webhook.invalid.app_error"),
            WEBHOOK_GONE,
        ),
        (
            "mattermost",
            refused_by_mattermost(501, "web.incoming_webhook.disabled.app_error"),
            WEBHOOKS_OFF,
        ),
        (
            "mattermost",
            refused_by_mattermost(403, "web.incoming_webhook.channel_locked.app_error"),
            WEBHOOK_CHANNEL_LOCKED,
        ),
        (
            "mattermost",
            refused_by_mattermost(404, "web.incoming_webhook.channel.app_error"),
            MESSENGER_CHANNEL_GONE,
        ),
        (
            "mattermost",
            refused_by_mattermost(403, "web.incoming_webhook.permissions.app_error"),
            WEBHOOK_MAY_NOT_POST,
        ),
        ("mattermost", (404, "<html>"), WEBHOOK_GONE),
        ("mattermost", (500, "<html>"), None),
    ],
)
def test_why_a_messenger_refuses_is_known_by_its_answer(channel, answer, cause):
    """Tests below send a message for each messenger, and are told why it did not arrive."""
    assert MESSENGERS[Recipient.Channel(channel)].cause_of(*answer) == cause


def test_a_token_that_telegram_rejects_is_told_with_what_to_do(telegram, in_english):
    words = explained(in_telegram("987654321:" + "z" * 35))
    assert words.startswith("Telegram rejected the bot’s token.")
    assert "@BotFather" in words


def test_a_chat_that_telegram_does_not_know_is_told_without_its_number(telegram, in_english):
    words = explained(in_telegram(chat="-100777"))
    assert words.startswith("Telegram does not know this chat, or the bot is not in it.")
    assert "-100777" not in words


def test_max_gets_the_message_and_its_token_in_a_header(max_messenger):
    deliver(in_max())
    ((path, message),) = max_messenger.posts
    assert path == "/messages?chat_id=-68942115&disable_link_preview=true"
    assert "2 кассы не на связи уже сутки" in message["text"]
    assert MAX_TOKEN not in path


def test_a_long_message_reaches_max_in_parts_without_losing_a_word(max_messenger):
    deliver(long(in_max()))
    assert len(max_messenger.messages) == 2
    assert sum(one["text"].count("Касса,") for one in max_messenger.messages) >= 1000 - 1


@pytest.mark.parametrize(
    ("token", "chat", "cause"),
    [
        ("f9LHodD0cOL-another-token", "-68942115", BOT_TOKEN_REJECTED),
        (MAX_TOKEN, "-1", MESSENGER_CHAT_CLOSED),
        (MAX_TOKEN, "-2", MESSENGER_CHAT_UNKNOWN),
    ],
)
def test_why_max_refuses_is_known_by_its_answer(max_messenger, token, chat, cause):
    with raises(cause):
        deliver(in_max(token, chat))


def test_a_redirect_of_max_is_not_followed(max_messenger, in_english):
    max_messenger.answer = (307, "")
    assert "HTTP 307" not in explained(in_max())
    assert len(max_messenger.posts) == 1


def test_that_max_needs_a_certificate_on_this_machine_is_told(
    max_messenger, monkeypatch, in_english
):
    monkeypatch.delenv("SSL_CERT_FILE")
    words = explained(in_max())
    assert "its certificate is not trusted on this machine" in words
    assert "gosuslugi.ru/crt" in words


@pytest.mark.parametrize(
    "text", ["", "short", "a b " * 30, "x" * 95, "one line\n" * 20, " leading " * 20]
)
def test_a_text_in_parts_is_the_same_text(text):
    parts = list(in_parts(text, 40))
    assert all(len(one) <= 40 for one in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_slack_gets_the_message_and_says_when_its_webhook_is_gone(slack, in_english):
    deliver(in_slack())
    ((path, message),) = slack.posts
    assert SLACK_HOOK.endswith(path.rstrip("/"))
    assert "2 кассы не на связи уже сутки" in json.dumps(message, ensure_ascii=False)
    assert "pprise" not in json.dumps(message)
    words = explained(in_slack(SLACK_HOOK.replace("s3cr3t", "other")))
    assert words.startswith("Slack does not know this webhook.")


def test_mattermost_gets_the_message_in_the_channel_of_the_recipient(mattermost):
    deliver(in_mattermost(mattermost.address))
    deliver(in_mattermost(mattermost.address, "alerts"))
    first, second = mattermost.messages
    assert "2 кассы не на связи уже сутки" in first["text"]
    assert "channel" not in first
    assert (second["channel"], second["username"]) == ("alerts", "Data Transfer")
    assert "icon_url" not in second


def test_a_webhook_that_mattermost_has_removed_is_told(mattermost, in_english):
    gone = mattermost.address.replace(MATTERMOST_KEY, "gone")
    assert explained(in_mattermost(gone)).startswith("Mattermost does not know this webhook.")


def test_a_messenger_that_wants_fewer_messages_is_told(slack, in_english):
    slack.answer = (429, "rate_limited")
    assert "Slack did not accept the message: it got too many messages lately." in explained(
        in_slack()
    )


def test_a_proxy_that_refuses_the_messenger_is_told(slack, in_english):
    words = explained(in_telegram())
    assert "Telegram did not accept the message: the proxy of this installation" in words
    assert "HTTPS_PROXY" in words


def test_a_certificate_that_is_not_trusted_is_told(telegram, monkeypatch, in_english):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    assert "its certificate is not trusted on this machine" in explained(in_telegram())


def test_a_mattermost_that_does_not_listen_is_told(in_english):
    address = f"http://127.0.0.1:{misbehaving.free_port()}/hooks/{MATTERMOST_KEY}"
    assert "Mattermost did not accept the message: it accepts no connection." in explained(
        in_mattermost(address)
    )


def test_a_refusal_keeps_no_secret(telegram, slack, mattermost, caplog, capfd):
    """Not in what is saved of it, and not in what processes write."""
    telegram.answer = slack.answer = mattermost.answer = (418, f"no {BOT_TOKEN}")
    notices = [in_telegram(), in_slack(), in_mattermost(mattermost.address, "private-channel")]
    for notice in map(failed, notices):
        assert notice.error_code == "message_refused"  # the status says no more
        kept = f"{notice.error_params} {notice.error_technical} {notice.explained}"
        for secret in (BOT_TOKEN, "s3cr3t", "-1001234", "private-channel"):
            assert secret not in kept
    written = caplog.text + "".join(capfd.readouterr())
    assert BOT_TOKEN not in written
    assert "s3cr3t" not in written
