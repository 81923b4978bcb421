"""A button without effect: where it leads, and what the page says."""

import pytest
from django.test import Client
from django.urls import reverse

from tests.records import server, user
from transfer.models import AuditEntry
from transfer.pages.links import key_of

pytestmark = pytest.mark.django_db
PAGE = "http://testserver/scheduler/?state=enabled"


@pytest.fixture
def switch(settings) -> str:
    settings.LANGUAGE_CODE = "en"
    return reverse("task_switch", args=[key_of(server().tasks.get(kind="cards"))])


def test_after_the_session_is_over_it_leads_back_to_its_page_and_says_that_nothing_was_done(switch):
    browser = Client(headers={"referer": PAGE})
    answer = browser.post(switch, {"enabled": "1"})
    assert answer.url == "/login/?next=/scheduler/%3Fstate%3Denabled"
    browser.force_login(user("operator"))
    assert "You had been logged out, so nothing was done" in browser.get(PAGE).content.decode()
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    "came_from", [None, "https://elsewhere.example/scheduler/", "nonsense", "http://["]
)
def test_never_leads_to_another_site(switch, came_from):
    browser = Client(headers={"referer": came_from} if came_from else {})
    assert browser.post(switch).url == "/login/?next=/"
    strict = Client(enforce_csrf_checks=True, headers={"referer": came_from} if came_from else {})
    strict.force_login(user("operator"))
    assert "elsewhere" not in strict.post(switch).content.decode()


def test_without_a_valid_key_it_leads_back_to_its_page(switch):
    browser = Client(enforce_csrf_checks=True, headers={"referer": PAGE})
    browser.force_login(user("operator"))
    assert 'href="/scheduler/?state=enabled"' in browser.post(switch).content.decode()


def test_its_address_opened_as_a_page_is_explained(client, switch):
    client.force_login(user("operator"))
    answer = client.get(switch)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert "This address only answers a button" in answer.content.decode()
    assert client.put(switch).content == b""


def test_log_out_is_never_in_vain(client):
    assert client.post(reverse("logout")).url == "/login/"
