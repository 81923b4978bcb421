"""A printed page says when it was printed, has absolute times, and counts the rows it lacks."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from tests.browser.conftest import use_language
from tests.records import a_run, server

pytestmark = pytest.mark.django_db(transaction=True)

AFTER = "one => getComputedStyle(one, '::after').content"


def test_a_printed_list_has_its_time_absolute_times_and_the_number_of_missing_rows(
    page: Page, log_in: Callable
):
    eight, hour_ago = server(), timezone.now() - timedelta(hours=1)
    for _ in range(30):
        a_run(eight, queued_at=hour_ago)
    log_in(page, "viewer")
    use_language(page, "en")
    page.goto("/history/")
    expect(page.locator(".on-paper").first).to_be_hidden()
    page.emulate_media(media="print")
    page.evaluate("document.getElementById('printed').textContent = 'long ago'")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    year = str(timezone.localdate().year)
    expect(page.locator(".on-paper").first).to_contain_text(f"{year}, ")
    expect(page.locator(".on-paper").first).to_contain_text("MSK")
    expect(page.locator(".on-paper").last).to_have_text("Not printed, on other pages: 5 rows.")
    shown = page.locator("main tbody time").first.evaluate(AFTER)
    assert year in shown
    assert f"{timezone.localtime(hour_ago):%H:%M:%S}".replace(" ", "\u00a0") in shown
