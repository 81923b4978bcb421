"""On a phone: cards of two lines, and filters folded until one is used."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE
from tests.records import a_run, server
from transfer.models import CashRegister, Shop

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_asked")]


@pytest.fixture
def shops() -> None:
    shop = Shop.objects.create(code="111")
    for number in range(10):
        CashRegister.objects.create(shop=shop, code=f"17.{number}", name=f"Касса {number}")


def test_the_history_of_25_runs_is_a_few_screens_long(open_page: Callable, log_in: Callable):
    eight = server()
    for number in range(30):
        a_run(eight, "cards", applied=number, rejected=number % 3)
    page: Page = open_page(viewport=PHONE, has_touch=True)
    log_in(page, "viewer")
    page.goto("/history/")
    expect(page.locator("table.runs tbody tr")).to_have_count(25)
    assert page.evaluate("document.documentElement.scrollHeight") < 3000


def test_a_filter_is_folded_until_one_filters(open_page: Callable, log_in: Callable, shops: None):
    page: Page = open_page(viewport=PHONE, has_touch=True)
    log_in(page, "viewer")
    page.goto("/registers/")
    field = page.locator("#filter [name=q]")
    expect(field).to_be_hidden()
    heights = [row.bounding_box()["height"] for row in page.locator("tbody tr").all()]
    assert max(heights) < 80
    page.locator("#filter-fold summary").click()
    field.fill("Касса 3")
    page.locator("#filter button").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(field).to_have_value("Касса 3")
    page.set_viewport_size(DESKTOP)
    page.goto("/registers/")
    expect(field).to_be_visible()
    expect(page.locator("#filter-fold summary")).to_be_hidden()
