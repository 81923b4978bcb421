"""A user's whole way: made, logs in, is closed; in both languages, and without a script."""

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, make_user, use_language

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]

WORDS = {
    "ru": {
        "users": "Пользователи",
        "add": "Добавить пользователя",
        "name": "Имя пользователя",
        "role": "Оператор",
        "save": "Добавить",
        "noted": "Пароль переписан, продолжить",
        "close": "Закрыть доступ…",
        "sure": "Закрыть доступ",
        "closed": "Доступ закрыт",
    },
    "en": {
        "users": "Users",
        "add": "Add a user",
        "name": "User name",
        "role": "Operator",
        "save": "Add",
        "noted": "I have written it down",
        "close": "Close…",
        "sure": "Close the user",
        "closed": "Closed",
    },
}


@pytest.mark.parametrize("language", ["ru", "en"])
def test_from_the_first_log_in_to_the_last(
    page: Page,
    open_page: Callable,
    log_in: Callable,
    check_accessible: Callable,
    language: str,
):
    words = WORDS[language]
    log_in(page, "administrator", "anna")
    use_language(page, language)
    page.goto("/")
    page.locator(".side").get_by_role("link", name=words["users"]).click()

    # A new user with a password that is shown once.
    page.get_by_role("link", name=words["add"]).first.click()
    page.get_by_label(words["name"]).fill("petr")
    page.get_by_role("radio", name=re.compile(f"^{words['role']}")).check()
    page.get_by_role("button", name=words["save"], exact=True).click()
    check_accessible(page)
    password = page.locator(".secret").nth(1).inner_text()
    page.get_by_role("link", name=words["noted"]).click()

    # He works with it.
    his = open_page(java_script_enabled=False)
    his.goto("/login/")
    his.fill("[name=username]", "petr")
    his.fill("[name=password]", password)
    his.click("main button")
    expect(his.locator(".side-end")).to_contain_text("Оператор")

    # Closed, he is out at his next click.
    page.get_by_role("link", name="petr").click()
    page.get_by_role("link", name=words["close"]).click()
    check_accessible(page)
    page.get_by_role("button", name=words["sure"]).click()
    row = page.locator("tbody tr").filter(has_text="petr")
    expect(row).to_contain_text(words["closed"])
    his.goto("/scheduler/")
    expect(his).to_have_url("/login/?next=/scheduler/")


def test_long_names_fit_on_a_phone(phone: Page, log_in: Callable):
    log_in(phone, "administrator")
    long = make_user("golovnoy-ofis.otdel-loyalnosti.administrator-bonusnyh-serverov", "viewer")
    User.objects.filter(pk=long.pk).update(first_name="Александра-Екатерина" * 3)
    for address in ("/users/", f"/users/{long.pk}/", f"/users/{long.pk}/close/", "/audit/"):
        phone.goto(address)
        assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], address
