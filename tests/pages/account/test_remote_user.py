"""REMOTE_USER: the name that the proxy gives, and what somebody else sends in its place."""

import pytest
from django.test import Client

from dtadmin.middleware import TrueAddress
from tests.api.conftest import a_key
from tests.pages.look import words
from tests.records import user
from transfer.models import Actor, AuditEntry, User

pytestmark = pytest.mark.django_db
HEADER = "X-Remote-User"
PROXY, ELSEWHERE = "10.0.0.1", "10.0.0.66"


@pytest.fixture(autouse=True)
def behind_proxy(settings):
    from ipaddress import ip_network

    settings.LANGUAGE_CODE = "en"
    settings.BEHIND_PROXY = [ip_network(PROXY)]
    settings.REMOTE_USER_HEADER = HEADER
    settings.AUTHENTICATION_BACKENDS = [
        "django.contrib.auth.backends.ModelBackend",
        "transfer.pages.account.remote_user.KnownUsers",
    ]
    place = settings.MIDDLEWARE.index("transfer.pages.middleware.LoginRequired")
    settings.MIDDLEWARE = [
        *settings.MIDDLEWARE[:place],
        "transfer.pages.account.remote_user.RemoteUser",
        *settings.MIDDLEWARE[place:],
    ]
    user("operator", "olga")


def ask(browser: Client, name: str | None, address: str = PROXY, url: str = "/account/"):
    headers = {HEADER: name} if name is not None else {}
    return browser.get(url, headers=headers, REMOTE_ADDR=address)


def test_the_name_of_the_proxy_lets_in_and_is_noted_once():
    browser = Client()
    assert ask(browser, "olga").status_code == 200
    assert ask(browser, "olga", url="/history/").status_code == 200
    entry = AuditEntry.objects.get()
    assert (entry.who, entry.action, entry.new) == ("olga", "login", {"provider": "REMOTE_USER"})


def test_the_same_name_of_anybody_else_does_not():
    assert ask(Client(), "olga", ELSEWHERE).url.startswith("/login/")
    forged = Client().get("/account/", REMOTE_ADDR=PROXY, REMOTE_USER="olga")
    assert forged.url.startswith("/login/")
    assert not AuditEntry.objects.exists()


def test_the_session_ends_with_the_name_and_changes_with_it():
    user("viewer", "vera")
    browser = Client()
    ask(browser, "olga")
    assert "vera" in words(ask(browser, "vera"))
    assert ask(browser, None).url.startswith("/login/")


def test_who_is_not_added_here_gets_no_account_and_a_sentence():
    page = ask(Client(), "petr", url="/login/")
    assert "“petr” is not a user here" in words(page)
    assert not User.objects.filter(username="petr").exists()


def test_who_is_closed_here_is_out():
    browser = Client()
    ask(browser, "olga")
    User.objects.get(username="olga").close(Actor("anna"))
    assert ask(browser, "olga").url.startswith("/login/")


def test_without_the_setting_the_header_is_nothing(settings, rf):
    settings.REMOTE_USER_HEADER = ""
    request = rf.get("/", headers={HEADER: "olga"}, REMOTE_ADDR=PROXY)
    TrueAddress(lambda _request: None).process_request(request)
    assert "REMOTE_USER" not in request.META
    assert ask(Client(), "olga").url.startswith("/login/")


def test_a_call_of_the_api_begins_no_session():
    """The proxy may name a program that has shown its certificate."""
    headers = {HEADER: "olga", "Authorization": f"Bearer {a_key().secret}"}
    answer = Client().get("/api/v1/", headers=headers, REMOTE_ADDR=PROXY)
    assert (answer.status_code, answer.cookies) == (200, {})
    assert not AuditEntry.objects.filter(action="login").exists()
    refused = Client().get("/api/v1/", headers={HEADER: "olga"}, REMOTE_ADDR=PROXY)
    assert refused.status_code == 401
