from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import GALLERY, IN_BOTH_THEMES, PHONE

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls(GALLERY),
    pytest.mark.usefixtures("gallery"),
]


@pytest.mark.parametrize("device", ["page", pytest.param("phone", marks=pytest.mark.long)])
def test_every_component_is_accessible(
    request: pytest.FixtureRequest, log_in: Callable, check_accessible: Callable, device: str
):
    page = request.getfixturevalue(device)
    log_in(page, "operator")
    for address in ("/gallery/", "/gallery/confirm/"):
        page.goto(address)
        check_accessible(page, IN_BOTH_THEMES, menu=True)


def test_nothing_is_wider_than_a_phone_and_every_target_is_large_enough(
    phone: Page, log_in: Callable
):
    log_in(phone, "operator")
    phone.goto("/gallery/")
    assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    small = phone.evaluate(
        """[...document.querySelectorAll("button, a.button, select, .nav a, .pages a, summary")]
        .filter(one => one.checkVisibility())
        .map(one => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()])
        .filter(([html, box]) => box.height < 24 || box.width < 24)
        .map(([html]) => html)"""
    )
    assert small == []


def test_the_menu_of_a_phone_opens_without_a_script(open_page: Callable, log_in: Callable):
    page = open_page(viewport=PHONE, java_script_enabled=False)
    log_in(page, "operator")
    page.goto("/")
    link = page.locator(".top").get_by_role("link", name="Обзор")
    expect(link).not_to_be_visible()
    page.get_by_text("Меню").click()
    expect(link).to_have_attribute("aria-current", "page")
    page.locator(".top").get_by_role("link", name="olga").click()
    expect(page).to_have_url("/account/")


def test_a_row_becomes_a_card_whose_lines_are_named(phone: Page, log_in: Callable):
    log_in(phone, "operator")
    phone.goto("/gallery/")
    cell = phone.locator("tbody td[data-label='Прочитано']").first
    assert cell.evaluate("one => getComputedStyle(one, '::before').content") == '"Прочитано"'
    expect(phone.get_by_role("columnheader", name="Прочитано").first).to_be_attached()


def test_the_keyboard_skips_to_the_content_and_the_focus_is_seen(page: Page, log_in: Callable):
    log_in(page, "operator")
    page.goto("/account/")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Перейти к содержимому")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.locator(".brand").first.focus()
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_theme_language_and_log_out_come_after_the_content_for_the_keyboard(
    page: Page, log_in: Callable
):
    log_in(page, "operator")
    page.goto("/account/")
    before = page.evaluate(
        """() => [...document.querySelectorAll("a, button, input:not([type=hidden]), select")]
            .filter(one => one.checkVisibility() && !one.closest("#main, .side-end"))
            .map(one => one.closest("nav") ? "nav" : one.className || one.name)"""
    )
    assert [one for one in before if one != "nav"] == ["button skip-link", "brand", "q"]
    assert page.locator(".side-end").get_by_role("button").count() == 6


def test_sorting_pages_and_page_size_live_in_the_url(page: Page, log_in: Callable):
    log_in(page, "operator")
    page.goto("/gallery/?page=2&per_page=50")
    expect(page.locator(".pages [aria-current]")).to_have_text("2")
    page.get_by_role("columnheader", name="Прочитано").locator("a").click()
    expect(page).to_have_url("/gallery/?per_page=50&sort=read")
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Прочитано")
    page.get_by_role("link", name="250").click()
    expect(page.locator("#results tbody tr")).to_have_count(130)
    assert "page=" not in page.url.replace("per_page=", "")


def test_a_page_number_or_size_that_makes_no_sense_does_no_harm(page: Page, log_in: Callable):
    log_in(page, "operator")
    for query in ("page=x", "page=-1", "page=99999999999", "per_page=1000000", "per_page=0"):
        assert page.goto(f"/gallery/?{query}").ok
        assert page.locator("#results tbody tr").count() <= 50


def test_filters_apply_at_once_and_go_into_the_url(page: Page, log_in: Callable):
    log_in(page, "operator")
    page.goto("/gallery/")
    page.locator("[name=state]").select_option("failed")
    page.wait_for_url("**/gallery/?**state=failed**")


class TestPagesThatRefreshThemselves:
    def test_ask_again_also_for_a_slow_part_and_keep_open_folds_and_the_focus(
        self, page: Page, log_in: Callable
    ):
        log_in(page, "operator")
        page.goto("/gallery/live/")
        # In one step: what is found first and clicked then may have been replaced in between.
        page.evaluate("document.getElementById('fold').open = true")
        expect(page.locator("output")).not_to_have_text("0")
        first = page.locator("output").inner_text()
        expect(page.locator("output")).not_to_have_text(first)
        expect(page.locator("#fold")).to_have_attribute("open", "")
        expect(page.locator("#slow b")).to_have_text("спрошено")
        # Also of what has no id.
        for focused in (page.locator("#fold summary"), page.get_by_role("link", name="К деталям")):
            focused.focus()
            seen = page.locator("output").inner_text()
            expect(page.locator("output")).not_to_have_text(seen)
            expect(focused).to_be_focused()

    def test_wait_while_somebody_types(self, page: Page, log_in: Callable):
        log_in(page, "operator")
        page.goto("/gallery/live/")
        page.locator("#note").press_sequentially("заметка", delay=100)
        expect(page.locator("#note")).to_have_value("заметка")
        expect(page.locator("#note")).to_be_focused()

    def test_rest_in_a_hidden_tab(self, page: Page, log_in: Callable):
        log_in(page, "operator")
        page.add_init_script("Object.defineProperty(document, 'hidden', {get: () => hidden})")
        page.add_init_script("window.hidden = true")
        page.goto("/gallery/live/")
        page.wait_for_timeout(700)
        expect(page.locator("output")).to_have_text("0")
        page.evaluate("hidden = false; document.dispatchEvent(new Event('visibilitychange'))")
        expect(page.locator("output")).not_to_have_text("0")

    def test_show_the_log_in_page_when_the_session_is_over(self, page: Page, log_in: Callable):
        log_in(page, "operator")
        page.goto("/gallery/live/")
        page.context.clear_cookies(name="sessionid")
        page.wait_for_url("**/login/**")
        expect(page.locator("h1")).to_have_text("Войти")

    def test_say_when_there_is_no_connection(
        self, page: Page, log_in: Callable, expected_trouble: list[str]
    ):
        expected_trouble.append("502")
        log_in(page, "operator")
        page.goto("/gallery/live/")
        page.route("**/gallery/live/*/", lambda route: route.fulfill(status=502, body=""))
        expect(page.locator("#offline")).to_be_visible()
        page.unroute("**/gallery/live/*/")
        expect(page.locator("#offline")).to_be_hidden()
