"""Messengers, as they answer: Mattermost by HTTP, the others by HTTPS behind a proxy."""

import html
import json
import re
from contextlib import contextmanager

import pytest

from tests import misbehaving
from tests.certificates import certificate

BOT_TOKEN = "123456789:AAE-not-a-real-token_of_the_tests-0"
MAX_TOKEN = "f9LHodD0cOL-not-a-real-token-of-the-tests"
SLACK_HOOK = "https://hooks.slack.com/services/T0TESTS/B0TESTS/s3cr3tOfTheTests"
MATTERMOST_KEY = "s3cr3tofthetests7391"


class Messenger:
    """What it was sent, as (path, JSON), and how it answers all that comes: (status, text)."""

    def __init__(self, answer_of):
        self.posts, self.answer, self.heads = [], None, []
        self.answer_of = answer_of

    def serve(self, connection):
        """Answers one request on a connection."""
        head, _, body = misbehaving.request_of(connection).partition(b"\r\n\r\n")
        path = head.split()[1].decode()
        message = json.loads(body)
        self.heads.append(head.decode().lower())
        status, text = self.answer or self.answer_of(path, message)
        self.posts.append((path, message))
        connection.sendall(misbehaving.reply(status, text.encode()))

    @property
    def messages(self):
        return [message for _path, message in self.posts]


def telegram_answers(path, message):
    """As core.telegram.org/bots/api has it."""
    if path != f"/bot{BOT_TOKEN}/sendMessage":
        return refused_by_telegram(401, "Unauthorized")
    if str(message["chat_id"]) not in ("-1001234", "@shop_alerts"):
        return refused_by_telegram(400, "Bad Request: chat not found")
    if re.search("<(?!/?[bi]>)", message["text"]):
        return refused_by_telegram(400, "Bad Request: can't parse entities")
    if len(html.unescape(message["text"])) > 4096:
        return refused_by_telegram(400, "Bad Request: message is too long")
    return 200, json.dumps({"ok": True, "result": {"message_id": 1}})


def refused_by_telegram(status, description):
    answer = {"ok": False, "error_code": status, "description": description}
    return status, json.dumps(answer)


def max_answers(path, message):
    """As github.com/max-messenger/api-schema has it; MAX knows a bot by a header."""
    if "chat_id=-1&" in path:
        return refused_by_max(403, "chat.denied")
    if "chat_id=-68942115&" not in path:
        return refused_by_max(404, "chat.not.found")
    if len(message["text"]) > 4000:
        return refused_by_max(400, "proto.payload")
    return 200, json.dumps({"message": {"body": {"mid": "mid.1", "seq": 1}}})


def refused_by_max(status, code):
    return status, json.dumps({"code": code, "message": "…"})


def slack_answers(path, message):
    """As the page on incoming webhooks has it: a word, and no JSON."""
    return (200, "ok") if SLACK_HOOK.endswith(path.rstrip("/")) else (404, "no_service")


def mattermost_answers(path, message):
    if not path.endswith(f"/hooks/{MATTERMOST_KEY}"):
        return refused_by_mattermost(400, "web.incoming_webhook.invalid.app_error")
    if message.get("channel") not in (None, "alerts"):
        return refused_by_mattermost(404, "web.incoming_webhook.channel.app_error")
    return 200, "ok"


def refused_by_mattermost(status, code):
    return status, json.dumps({"id": code, "message": "…", "status_code": status})


@contextmanager
def behind_proxy(monkeypatch, folder, host, messenger):
    """Serves it at https://host, which HTTPS_PROXY leads to; the proxy refuses other hosts."""
    authority, context = certificate(folder, host=host)
    trusted = folder / "authority.pem"
    trusted.write_text(authority)

    def handler(connection, number):
        asked = misbehaving.request_of(connection).split()[1].decode()
        if asked != f"{host}:443":
            connection.sendall(misbehaving.reply(403))
            return
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with context.wrap_socket(connection, server_side=True) as secured:
            messenger.serve(secured)

    with misbehaving.server(handler) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(trusted))  # of Apprise
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))  # of Python
        yield messenger


@pytest.fixture
def telegram(monkeypatch, tmp_path):
    messenger = Messenger(telegram_answers)
    with behind_proxy(monkeypatch, tmp_path, "api.telegram.org", messenger):
        yield messenger


@pytest.fixture
def max_messenger(monkeypatch, tmp_path):
    """MAX. It rejects each token but one."""

    def answers(path, message):
        if f"authorization: {MAX_TOKEN.lower()}" not in messenger.heads[-1].splitlines():
            return refused_by_max(401, "verify.token")
        return max_answers(path, message)

    messenger = Messenger(answers)
    with behind_proxy(monkeypatch, tmp_path, "platform-api2.max.ru", messenger):
        yield messenger


@pytest.fixture
def slack(monkeypatch, tmp_path):
    with behind_proxy(monkeypatch, tmp_path, "hooks.slack.com", Messenger(slack_answers)) as one:
        yield one


@pytest.fixture
def mattermost():
    """Its webhook's address is `address`; it is in a folder, as behind a proxy."""
    messenger = Messenger(mattermost_answers)
    with misbehaving.server(lambda connection, number: messenger.serve(connection)) as port:
        messenger.address = f"http://127.0.0.1:{port}/chat/hooks/{MATTERMOST_KEY}"
        yield messenger
