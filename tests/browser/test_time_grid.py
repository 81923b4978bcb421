"""The grid of time by mouse and by keyboard, on a phone, and for those who do not see it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, use_language
from tests.chain import many_servers
from tests.records import a_run, server
from transfer.models import TransferRun
from transfer.models.run_base import State
from transfer.pages.shown.time_grid import edges_of

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def failed() -> TransferRun:
    """A failed run of balance changes, between good runs, and good runs of cards."""
    one, edges = server(), edges_of(6)
    for place in (3, 10, 20):
        a_run(one, queued_at=edges[place])
        a_run(one, "cards", queued_at=edges[place])
    return a_run(one, queued_at=edges[15], state=State.FAILED)


@pytest.mark.usefixtures("failed")
def test_the_arrow_keys_move_among_the_squares_and_enter_opens_the_run(
    open_page: Callable, log_in: Callable, failed: TransferRun
):
    page: Page = open_page()
    log_in(page, "viewer")
    page.goto("/history/grid/")
    cells = page.locator("a.cell")
    expect(cells).to_have_count(7)
    expect(page.locator("a.cell[tabindex='0']")).to_have_count(1)
    page.locator("a.cell[tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    focused = page.locator("a.cell:focus")
    expect(focused).to_have_attribute("href", failed.get_absolute_url())
    page.keyboard.press("Enter")
    expect(page).to_have_url(failed.get_absolute_url())


@pytest.mark.parametrize(("language", "viewport"), [("ru", None), ("en", PHONE)])
def test_thirty_servers_are_a_line_each_that_opens(
    open_page: Callable,
    log_in: Callable,
    check_accessible: Callable,
    language: str,
    viewport: dict[str, int] | None,
):
    servers = many_servers(30)
    at = edges_of(6)[12]
    for one in servers:
        a_run(one, queued_at=at - timedelta(minutes=30))
        a_run(one, queued_at=at + timedelta(minutes=2), state=State.FAILED)
    page: Page = open_page(**({"viewport": viewport} if viewport else {}))
    log_in(page, "viewer")
    use_language(page, language)
    page.goto("/history/grid/")
    expect(page.locator(".time-line")).to_have_count(31)
    expect(page.locator(".sq-share")).to_have_count(1)
    check_accessible(page)
    width = "document.documentElement.scrollWidth <= innerWidth"
    assert page.evaluate(width)
    page.locator(f"#server-{servers[2].pk} a[aria-expanded]").click()
    expect(page.locator(f"#server-{servers[2].pk} a[aria-expanded=true]")).to_be_in_viewport()
    expect(page.locator(".time-line")).to_have_count(33)
    page.locator("#grid-table summary").click()
    expect(page.locator("#grid-table tbody tr")).to_have_count(90)
    assert page.evaluate(width)
