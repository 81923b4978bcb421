"""What a visit costs the line: pages are compressed, and what they need is fetched once."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.records import a_reject, a_run, server, user
from transfer.models import CashRegister, Shop

pytestmark = pytest.mark.django_db

FIRST_LOAD, PAGE = 60_000, 20_000  # bytes at most
LISTS = ("overview", "scheduler", "history", "history_grid", "rejects", "registers", "audit")


@pytest.fixture(autouse=True)
def busy(client):
    """Every list is longer than a page."""
    client.force_login(user("administrator"))
    one = server()
    shop = Shop.objects.create(code="s1", name="Магазин 1")
    for number in range(30):
        a_run(one, queued_at=timezone.now() - timedelta(minutes=number), applied=number)
        a_reject(one)
        CashRegister.objects.create(code=f"r{number}", name=f"Касса {number}", shop=shop)


def sent(client, url):
    """Bytes of its body."""
    response = client.get(url, headers={"Accept-Encoding": "gzip"})
    assert response.status_code == 200, url
    assert response["Content-Encoding"] == "gzip", url
    return len(body(response))


def body(response):
    content = b"".join(response)
    for close in response._resource_closers:  # not response.close: the connection stays open
        close()
    return content


def files_of(page):
    """What a browser fetches for it."""
    return set(re.findall(r'(?:src|href)="(/static/[^"#]+)', page.text))


def test_a_first_load_and_every_page_after_it_are_light(client):
    files = files_of(client.get("/"))
    assert len(files) > 10
    assert sum(sent(client, url) for url in ["/", *files]) < FIRST_LOAD
    for name in LISTS:
        assert sent(client, reverse(name)) < PAGE, name


def test_a_file_is_named_by_what_it_holds_and_kept_for_ever(client):
    for file in files_of(client.get("/")):
        assert re.search(r"\?[0-9a-f]{8}$", file), file
        assert is_kept(client, file), file


def test_what_the_admins_styles_name_without_a_hash_is_asked_for_again(client):
    assert not is_kept(client, "/static/admin/img/icon-no.svg")


def is_kept(client, file):
    response = client.get(file)
    assert body(response)
    return "immutable" in response["Cache-Control"]
