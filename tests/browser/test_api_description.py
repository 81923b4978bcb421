"""The page of the API's calls, in a browser: it loads nothing from elsewhere, and fits a phone."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.long
def test_the_calls_can_be_read_on_a_desktop_and_on_a_phone(
    page: Page, log_in: Callable, check_accessible: Callable
):
    """A request to another server fails each test of this folder."""
    log_in(page, "viewer")
    page.goto("/help/api/openapi.json")
    check_accessible(page)
    page.get_by_role("link", name="LoadWithArrival").first.click()
    expect(page.locator("h3", has_text="LoadWithArrival")).to_be_in_viewport()
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
