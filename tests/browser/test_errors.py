from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import GALLERY, use_language, use_theme

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls(GALLERY)]

NO_PAGE = {"ru": "Такой страницы нет", "en": "This page does not exist"}
NOT_ALLOWED = {"ru": "Ваша роль этого не позволяет", "en": "Your role does not allow this"}
BROKEN = {"ru": "Здесь что-то сломалось", "en": "Something went wrong here"}
UNREACHABLE = {
    "ru": "База Data Transfer не отвечает",
    "en": "The database of Data Transfer does not answer",
}
TOO_OLD = {"ru": "Страница была открыта слишком долго", "en": "The page was open for too long"}


@pytest.mark.parametrize("language", ["ru", "en"])
def test_error_pages_are_ours_say_what_to_do_and_are_accessible(
    page: Page, log_in: Callable, check_accessible: Callable, language: str
):
    page.goto("/login/")
    use_language(page, language)
    log_in(page, "viewer")
    for address, heading in (
        ("/nowhere/", NO_PAGE),
        ("/admin/", NOT_ALLOWED),
        ("/broken/", BROKEN),
        ("/unreachable/", UNREACHABLE),
    ):
        page.goto(address)
        expect(page.locator("h1")).to_have_text(heading[language])
        assert page.locator("main .button").count() >= 1
        check_accessible(page)


@pytest.mark.parametrize("language", ["ru", "en"])
def test_a_form_that_is_too_old_is_explained(page: Page, log_in: Callable, language: str):
    page.goto("/login/")
    use_language(page, language)
    log_in(page, "viewer")
    page.goto("/")
    page.locator(".side-end [name=csrfmiddlewaretoken]").first.evaluate("one => one.value = 'old'")
    page.locator(".side-end .segments button").nth(1).click()
    expect(page.locator("h1")).to_have_text(TOO_OLD[language])


def test_the_error_page_of_a_broken_server_keeps_the_theme(page: Page, log_in: Callable):
    log_in(page, "viewer")
    use_theme(page, "dark")
    page.goto("/broken/")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_user_without_a_role_sees_a_page_that_says_so(page: Page, log_in: Callable):
    log_in(page, None)
    page.goto("/")
    expect(page.locator("h1")).to_have_text("У вашей учётной записи пока нет роли")
    page.get_by_role("link", name="Ваша учётная запись").click()
    expect(page.locator(".nav a")).to_have_count(0)
    page.locator("main").get_by_role("button", name="Выйти").click()
    expect(page).to_have_url("/login/")
