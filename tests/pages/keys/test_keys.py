"""The administrator's page of API keys: made, shown once, revoked."""

import html
import json
import subprocess
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tests.http_api.conftest import Program, a_key
from tests.pages.look import words
from tests.records import user
from transfer.models import ApiKey, AuditEntry
from transfer.pages.parts.audit_sentences import sentence

pytestmark = pytest.mark.django_db
FORM = {"name": "1C head office", "scopes": ["read", "load_balances"], "limit": "30"}


@pytest.fixture(autouse=True)
def anna(client, settings) -> None:
    settings.LANGUAGE_CODE = "en"
    client.force_login(user("administrator", "anna"))


def make(client: Any, **fields: Any) -> Any:
    return client.post("/keys/add/", {**FORM, **fields})


def test_a_key_is_shown_once_and_works(client):
    answer = make(client)
    secret = answer.context["secret"]
    assert secret in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    listed = words(client.get("/keys/"))
    assert "1C head office" in listed
    assert secret not in listed
    allowed = Program(secret).ask().json()
    assert (allowed["scopes"], allowed["limit"]) == (["read", "load_balances"], 30)


@pytest.mark.django_db(transaction=True)
def test_the_page_of_a_new_key_has_a_command_that_asks_what_it_may_do(
    client, live_server, settings
):
    settings.SITE_URL = live_server.url
    answer = make(client)
    done = subprocess.run(
        ["bash", "-c", answer.context["command"]], capture_output=True, check=True, timeout=60
    )
    assert json.loads(done.stdout)["scopes"] == ["read", "load_balances"]
    assert html.escape(answer.context["command"]) in answer.content.decode()


def test_both_pages_of_keys_lead_to_the_description_of_the_api(client):
    for page in (words(client.get("/keys/")), words(make(client))):
        assert 'href="/help/en/api.md"' in page
        assert 'href="/help/api/openapi.json"' in page


def test_making_a_key_is_in_the_audit_without_the_key(client):
    secret = make(client).context["secret"]
    entry = AuditEntry.objects.latest("id")
    assert (entry.who, entry.action, entry.new["scopes"]) == ("anna", "create", FORM["scopes"])
    assert sentence(entry) == "anna added the API key “1C head office”"
    page = client.get("/audit/").content.decode()
    assert "1C head office" in page
    assert secret not in page + str(vars(entry))


@pytest.mark.parametrize(
    ("fields", "words_of_error"),
    [
        ({"scopes": []}, "Choose what the key may do."),
        ({"limit": "0"}, "greater than or equal to 1"),
        ({"limit": "6001"}, "less than or equal to 6000"),
        ({"expires_at": "2020-01-01T00:00"}, "This time is in the past."),
        ({"name": ""}, "This field is required."),
    ],
)
def test_a_form_with_a_mistake_makes_no_key(client, fields, words_of_error):
    assert words_of_error in words(make(client, **fields))
    assert not ApiKey.objects.exists()


def test_the_name_of_a_revoked_key_cannot_be_used_again(client):
    make(client)
    key = ApiKey.objects.get()
    client.post(f"/keys/{key.pk}/revoke/")
    assert "There is a key with this name already." in words(make(client))
    assert ApiKey.objects.count() == 1


def test_a_key_is_revoked_after_a_question(client):
    secret = make(client).context["secret"]
    url = f"/keys/{ApiKey.objects.get().pk}/revoke/"
    assert "The next call with it is refused." in words(client.get(url))
    assert Program(secret).ask().status_code == 200
    page = client.post(url, follow=True)
    assert "The key 1C head office is revoked." in words(page)
    assert "Revoked" in words(page)
    assert Program(secret).ask().status_code == 401
    revoked = AuditEntry.objects.latest("id")
    assert sentence(revoked) == "anna revoked the API key “1C head office”"


def test_the_list_says_when_and_from_where_a_key_was_used(client):
    made = a_key()
    assert "never" in words(client.get("/keys/"))
    Program(made.secret).get("/api/v1/", REMOTE_ADDR="10.1.2.3")
    assert "10.1.2.3" in words(client.get("/keys/"))


def test_an_expired_key_is_listed_as_expired(client):
    a_key(expires_at=timezone.now() - timedelta(days=1))
    assert "Expired" in words(client.get("/keys/"))
