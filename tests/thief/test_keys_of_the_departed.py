"""A former administrator keeps an API key: who can see that, and end it."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.http_api.conftest import Program
from tests.pages.look import words
from tests.records import user
from transfer.models import Actor, ApiKey, AuditEntry, User
from transfer.models.api_keys import Made, Scope

pytestmark = pytest.mark.django_db
GONE = Actor("boris")


@pytest.fixture(autouse=True)
def anna(client, settings) -> User:
    settings.LANGUAGE_CODE = "en"
    made = User.objects.get(pk=user("administrator", "anna").pk)
    client.force_login(made)
    return made


@pytest.fixture
def boris() -> User:
    return User.objects.get(pk=user("administrator", "boris").pk)


def key_of(maker: str, name: str, **fields) -> Made:
    values = {"scopes": [*Scope.values], "expires_at": None, "limit": 100, **fields}
    return ApiKey.make(Actor(maker), name=name, **values)


def works(key: Made) -> bool:
    return Program(key.secret).ask().status_code == 200


def close_of(one: User) -> str:
    return reverse("user_close", args=[one.pk])


class TestClosingTheMaker:
    def test_lists_the_keys_that_still_work_and_no_others(self, client, boris):
        Program(key_of("boris", "ERP").secret).get("/api/v1/", REMOTE_ADDR="10.1.2.3")
        key_of("anna", "Key of anna")
        key_of("boris", "Revoked key").key.revoke(GONE)
        key_of("boris", "Expired key", expires_at=timezone.now() - timedelta(days=1))
        page = words(client.get(close_of(boris)))
        assert "API keys that boris made" in page
        assert "ERP" in page
        assert "10.1.2.3" in page
        for other in ("Key of anna", "Revoked key", "Expired key"):
            assert other not in page

    def test_revokes_those_that_are_ticked_and_leaves_the_others(self, client, boris):
        own, erp = key_of("boris", "Own script"), key_of("boris", "ERP")
        answer = client.post(close_of(boris), {"keys": [own.key.pk]}, follow=True)
        assert "Revoked keys: Own script." in words(answer)
        assert not User.objects.get(pk=boris.pk).is_active
        assert (works(own), works(erp)) == (False, True)
        entry = AuditEntry.objects.get(subject_type="apikey", action="delete")
        assert (entry.who, entry.subject_params["name"]) == ("anna", "Own script")

    def test_does_nothing_at_all_for_a_key_of_somebody_else(self, client, boris):
        key_of("boris", "ERP")
        other = key_of("anna", "Key of anna")
        page = words(client.post(close_of(boris), {"keys": [other.key.pk]}))
        assert "no longer valid" in page
        assert User.objects.get(pk=boris.pk).is_active
        assert works(other)

    def test_says_nothing_of_keys_where_there_are_none(self, client, boris):
        assert "API keys that boris made" not in words(client.get(close_of(boris)))


class TestTheRoleOfTheMaker:
    def test_is_changed_beside_the_keys_that_still_work(self, client, boris):
        erp = key_of("boris", "ERP")
        url = reverse("user", args=[boris.pk])
        assert "ERP" in words(client.get(url))
        sent = {"role": "viewer", "initial-role": "administrator", "keys": [erp.key.pk]}
        answer = client.post(url, sent, follow=True)
        assert "Revoked keys: ERP." in words(answer)
        assert User.objects.get(pk=boris.pk).role.group == "viewer"
        assert not works(erp)

    def test_is_not_changed_when_a_key_is_not_theirs(self, client, boris):
        key_of("boris", "ERP")
        other = key_of("anna", "Key of anna")
        url = reverse("user", args=[boris.pk])
        client.post(url, {"role": "viewer", "initial-role": "administrator", "keys": other.key.pk})
        assert User.objects.get(pk=boris.pk).role.group == "administrator"
        assert works(other)


def test_the_page_of_keys_says_who_made_each_and_whether_that_user_is_closed(client, boris):
    key_of("boris", "ERP")
    page = words(client.get(reverse("keys")))
    assert "boris" in page
    assert "Closed" not in page
    boris.close(Actor("anna"))
    assert "Closed" in words(client.get(reverse("keys")))
    assert reverse("user", args=[boris.pk]) in client.get(reverse("keys")).content.decode()


def test_the_page_of_keys_says_when_each_was_made(client):
    made = key_of("anna", "ERP")
    ApiKey.objects.filter(pk=made.key.pk).update(created_at=timezone.now() - timedelta(days=1))
    page = words(client.get(reverse("keys")))
    assert "Made" in page
    assert "yesterday" in page


def test_nobody_but_an_administrator_sees_any_of_it(boris):
    key_of("boris", "ERP")
    browser = Client()
    browser.force_login(user("operator", "olga"))
    for url in (reverse("keys"), close_of(boris), reverse("user", args=[boris.pk])):
        assert browser.get(url).status_code == 403
