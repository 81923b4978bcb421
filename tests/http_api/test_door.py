"""Who may call the API, how often, and that every answer is JSON."""

import hashlib
import json
import subprocess
import sys
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.utils import timezone

from tests.databases import ROOT
from tests.http_api.conftest import BASE, Program, a_key
from tests.records import server
from transfer.models import Actor, ApiCall, ApiKey

pytestmark = pytest.mark.django_db


def test_a_key_says_what_it_allows(program: Program):
    answer = program.ask()
    assert answer.status_code == 200
    assert answer.json()["name"] == "1C"
    assert "load_pincodes" in answer.json()["scopes"]
    assert answer.json()["limit"] == 1000


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer dtk_guessed",
        "Basic {secret}",
        "{secret}",
        "Bearer x{secret}",
    ],
)
def test_a_call_without_a_valid_key_is_refused_in_json(header: str, settings):
    settings.LANGUAGE_CODE = "en"
    secret = a_key().secret
    answer = Client().get(BASE, headers={"Authorization": header.format(secret=secret)})
    assert answer.status_code == 401
    assert answer.json()["code"] == "no_key"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_revoked_key_is_refused_at_the_next_call():
    made = a_key()
    assert Program(made.secret).ask().status_code == 200
    made.key.revoke(Actor("anna"))
    assert Program(made.secret).ask().status_code == 401


def test_an_expired_key_is_refused():
    made = a_key(expires_at=timezone.now() + timedelta(hours=1))
    assert Program(made.secret).ask().status_code == 200
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert Program(made.secret).ask().status_code == 401


def test_a_session_cookie_beside_a_key_is_neither_read_nor_kept_alive():
    browser = Client()
    browser.force_login(User.objects.create_superuser("root"))
    headers = {"Authorization": f"Bearer {a_key().secret}"}
    answer = browser.get(BASE, headers=headers)
    assert answer.status_code == 200
    assert "used_at" not in browser.session
    assert answer.cookies == {}


def test_a_key_opens_no_page(program: Program):
    for path in ("/", "/keys/", "/audit/", "/load/", "/admin/"):
        answer = program.get(path)
        assert answer.status_code == 302, path
        assert "login" in answer.headers["Location"], path


def test_the_last_use_and_its_address_are_noted(program: Program):
    program.get(BASE, REMOTE_ADDR="10.1.2.3")
    key = ApiKey.objects.get()
    assert key.last_address == "10.1.2.3"
    assert timezone.now() - key.last_used_at < timedelta(minutes=1)


def test_the_call_after_the_last_of_a_minute_is_refused_until_the_next_minute():
    program = Program(a_key(limit=2).secret)
    # The minute of the clock may change once meanwhile.
    answers = [program.ask() for _ in range(6)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 2 <= len(answers) - len(refused) <= 4
    assert refused[0].json()["code"] == "too_many_calls"
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 60
    ApiKey.objects.update(minute=timezone.now() - timedelta(minutes=5))
    assert program.ask().status_code == 200


@pytest.mark.django_db(transaction=True)
def test_calls_at_the_same_moment_do_not_exceed_the_limit():
    key = a_key(limit=5).key
    counted: list[bool] = []
    start = threading.Barrier(8)

    def call() -> None:
        start.wait()
        for _ in range(4):
            counted.append(key.count_call(None))
        connection.close()

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    key.refresh_from_db()
    # 32 calls: five are let through, or ten if the minute of the clock changed meanwhile.
    assert sum(counted) in {5, 10}
    assert key.calls == 5


def test_of_a_key_only_the_digest_is_stored():
    made = a_key()
    stored = json.dumps([[*row] for row in ApiKey.objects.values_list()], default=str)
    assert made.secret not in stored
    assert hashlib.sha256(made.secret.encode()).hexdigest() in stored


def test_a_key_outlives_the_secret_key(settings):
    """Keys that no call had used before the old SECRET_KEY was removed were lost."""
    settings.SECRET_KEY = "the first key"
    made = a_key()
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the second key", []
    assert Program(made.secret).ask().status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("get", "nowhere", 404, "not_found"),
        ("get", "../keys/", 404, "not_found"),
        ("put", "", 405, "method"),
        ("delete", "", 405, "method"),
    ],
)
def test_every_refusal_is_json(program: Program, method, path, status, code):
    answer = getattr(program, method)(BASE + path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    "path", ["/api/v1/tasks%0A", "/api/v1/%0Atasks", "/api/v1/a%0Ab/", "/api/", "/api/v2/tasks"]
)
def test_every_address_of_the_api_asks_for_a_key_and_answers_in_json(program: Program, path):
    answer = Client().get(path)
    assert (answer.status_code, answer.json()["code"]) == (401, "no_key")
    answer = program.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_head_is_a_get_without_the_body_and_logs_nothing(program: Program, caplog):
    head, get = program.head(f"{BASE}tasks"), program.get(f"{BASE}tasks")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert ApiCall.objects.get(operation="GET tasks").calls == 2
    assert caplog.text == ""


def test_a_form_with_a_file_gets_an_answer_in_json(program: Program):
    answer = program.post(f"{BASE}nowhere", {"file": "x"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_an_unexpected_error_is_logged_without_its_text(program: Program, monkeypatch, caplog):
    from transfer.http_api import routes

    quoted = "".join(["PIN ", "1234"])  # a stack trace has the source's own lines

    def broken(*_: Any) -> Any:
        raise RuntimeError(quoted)

    monkeypatch.setattr(routes.resolver, "resolve", broken)
    answer = program.ask()
    assert (answer.status_code, answer.json()["code"]) == (500, "unexpected_error")
    assert "RuntimeError" in caplog.text
    assert "PIN 1234" not in caplog.text + answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_when_our_own_database_is_away_the_answer_is_json(program: Program, monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connection.settings_dict, "PORT", "9")
    connection.close()
    answer = program.ask()
    assert (answer.status_code, answer.json()["code"]) == (503, "own_database")
    assert answer.headers["Retry-After"]


def test_commands_and_the_tick_do_not_import_the_libraries_of_the_api_and_of_log_ins(environment):
    """Also where they make links to pages, for which Django reads all addresses."""
    script = (
        "import sys, django; django.setup(); from django.urls import reverse; reverse('keys'); "
        "import transfer.tick, transfer.management.commands.run_due_tasks; "
        "heavy = {'ninja', 'pydantic', 'requests', 'fido2', 'jwt', 'qrcode'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "DJANGO_SETTINGS_MODULE": "dtadmin.settings"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == "[]"


def test_russian_letters_stand_in_an_answer_as_they_are(program: Program, settings: Any):
    """People read what curl shows."""
    settings.LANGUAGE_CODE = "ru"
    eight = server("Бонусный сервер 8")
    assert eight.name in program.ask("servers").content.decode()
    assert "По этому адресу" in program.ask("nowhere").content.decode()
