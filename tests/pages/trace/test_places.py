"""Search everywhere: the same box finds more than cards and accounts."""

from datetime import UTC, datetime

import pytest
from django.urls import reverse

from tests.databases import stage
from tests.pages.look import words
from tests.records import a_run
from transfer.models import CashRegister, Shop, Upload

pytestmark = pytest.mark.django_db


@pytest.fixture
def eight(viewer, dock, bonus, shop_all):
    return dock(bonus)


@pytest.fixture
def till():
    shop = Shop.objects.create(code="111")
    return CashRegister.objects.create(shop=shop, code="17", name="Касса 17")


def find(client, text):
    return client.get(reverse("trace"), {"q": text})


@pytest.mark.parametrize("text", ["Касса 17", "17", "касса"])
def test_a_single_register_is_opened_at_once(client, eight, till, text):
    assert find(client, text).url == till.get_absolute_url()


def test_so_is_a_server_a_run_and_a_file(client, eight):
    run = a_run(eight)
    file = Upload.objects.create(kind="balances", name="бонусы-ноябрь.csv", created_by="olga")
    Upload.objects.create(
        kind="balances", name="", input_method=Upload.InputMethod.HAND, created_by="olga"
    )
    assert find(client, "сервер 8").url == eight.get_absolute_url()
    assert find(client, f"№{run.pk}").url == run.get_absolute_url()
    assert find(client, "НОЯБРЬ").url == file.get_absolute_url()


def test_a_load_of_the_api_is_found_by_the_key_of_its_call(client, eight):
    key = "5f1d7c1e-3f0e-4f6e-9a44-00000000000"
    for number in (1, 2):
        Upload.objects.create(
            kind="balances",
            name=f"{key}{number}",
            created_by="1C (API)",
            input_method=Upload.InputMethod.API,
            created_at=datetime(2026, 11, 24, 11, 5, tzinfo=UTC),
        )
    assert f"1C (API), 2026-11-24 14:05, {key}2" in words(find(client, key))


def test_several_things_are_offered_under_what_they_are(client, eight, till, shop_all):
    stage(shop_all, "balances", [("0017", 1)])
    a_run(eight, pk=17)
    CashRegister.objects.filter(pk=till.pk).update(code="0017")
    assert headings(find(client, "0017")) == ["Account", "Cash register", "Run"]
    assert headings(find(client, "17")) == ["Cash register", "Run"]


def headings(response):
    return [heading for heading, _links in response.context["groups"]]


def test_where_shop_all_does_not_answer_the_rest_is_found_all_the_same(
    client, eight, till, settings
):
    settings.SHOP_ALL_DATABASE_URL = "postgresql://127.0.0.1:1/nowhere"
    shown = find(client, "касса").content.decode()
    assert till.get_absolute_url() in shown
    assert "does not answer" in shown


def test_every_page_has_the_box(client, eight):
    assert 'class="search-box"' in client.get(reverse("history")).content.decode()
