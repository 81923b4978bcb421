from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, use_language
from tests.databases import stage
from transfer.models.run_base import Trigger
from transfer.runs import execute

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def changes(dock: Callable, bonus: str, shop_all: str) -> None:
    """Moved, rejected and waiting changes of one account."""
    server = dock(bonus)
    stage(shop_all, "balances", [("4100000011", 250), ("4100000011", 0)])
    stage(shop_all, "cards", [("7780000000011", "4100000011", 1)])
    for kind in ("balances", "cards"):
        task = server.tasks.select_related("server").get(kind=kind)
        execute.run_here(task, Trigger.COMMAND)
    stage(shop_all, "pincodes", [("4100000011", "7351")])


@pytest.mark.parametrize(("language", "viewport"), [("ru", None), ("en", PHONE)])
@pytest.mark.usefixtures("changes")
def test_from_the_beginning_of_a_number_to_where_each_change_is(
    open_page: Callable,
    log_in: Callable,
    language: str,
    viewport: dict[str, int] | None,
):
    page: Page = open_page(**({"viewport": viewport} if viewport else {}))
    log_in(page, "viewer")
    use_language(page, language)
    page.goto("/trace/")
    page.locator("main [name=q]").fill("41000")
    page.keyboard.press("Enter")
    expect(page.locator(".matches")).to_be_visible()
    page.get_by_role("link", name="4100000011").first.click()
    expect(page.locator(".staged-changes")).to_be_visible()
    deliveries = page.locator(".deliveries .badge").all_inner_texts()
    expected = {"ru": ["Ждёт", "Перенесено", "Отклонено", "Перенесено"],
                "en": ["Waiting", "Moved", "Rejected", "Moved"]}  # fmt: skip
    assert deliveries == expected[language]
    if viewport:
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.get_by_role("link", name="7780000000011").first.click()
    expect(page.locator("h1")).to_contain_text("7780000000011")


@pytest.mark.usefixtures("changes")
def test_where_nothing_begins_so_the_servers_can_be_asked(
    open_page: Callable, log_in: Callable, check_accessible: Callable
):
    page: Page = open_page()
    log_in(page, "viewer")
    page.goto("/trace/?q=00002")
    expect(page.locator("#matches .actions a")).to_have_count(2)
    check_accessible(page)


@pytest.mark.usefixtures("changes")
def test_a_key_leads_to_the_search_from_any_page(open_page: Callable, log_in: Callable):
    page: Page = open_page()
    log_in(page, "viewer")
    page.goto("/history/")
    page.keyboard.press("/")
    page.keyboard.type("4100000011/")  # a second one is a character
    box = page.locator(".side [name=q]")
    expect(box).to_be_focused()
    expect(box).to_have_value("4100000011/")
    page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("4100000011")
