"""The way of a second factor, in a browser: set up, asked for, demanded, on a telephone."""

from collections.abc import Callable
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD, PHONE, make_user, use_language
from tests.second_factors import code_of
from transfer.models import Actor, AuditEntry, Settings

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]
WORDS = {
    "ru": {"set up": "Настроить", "written": "Коды переписаны, продолжить", "in": "Войти"},
    "en": {"set up": "Set up", "written": "I have written them down", "in": "Log in"},
}


def enter_password(page: Page, name: str = "olga") -> None:
    page.goto("/login/")
    page.fill("[name=username]", name)
    page.fill("[name=password]", PASSWORD)
    page.click("main form button")


def assert_fits(page: Page, check_accessible: Callable) -> None:
    check_accessible(page)
    size = page.viewport_size
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], page.url
    page.set_viewport_size(size)


def add_device(page: Page) -> Any:
    """Gives the browser a device that makes passkeys, and says yes to each question."""
    device = page.context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
    }
    device.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return device


def test_a_passkey_is_the_second_step_and_lets_one_in_without_the_password_too(
    page: Page, check_accessible: Callable, live_server: Any
):
    user = make_user("olga", "operator")
    use_language(page, "en")
    device = add_device(page)
    enter_password(page)
    page.goto("/account/factors/")
    page.get_by_role("link", name="Add a passkey").click()
    assert_fits(page, check_accessible)
    page.fill("[name=name]", "telephone")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".codes li")).to_have_count(10)
    page.goto("/account/factors/")
    expect(page.locator("main")).to_contain_text("telephone")
    assert_fits(page, check_accessible)

    page.locator(".side-end").get_by_role("button", name="Log out").click()
    assert_fits(page, check_accessible)
    enter_password(page)
    expect(page).to_have_url("/login/code/")
    assert_fits(page, check_accessible)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.locator(".side-end")).to_contain_text("olga")
    assert AuditEntry.objects.latest("pk").new["factor"] == "webauthn"

    page.locator(".side-end").get_by_role("button", name="Log out").click()
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.locator(".side-end")).to_contain_text("olga")

    page.goto("/account/factors/")
    page.get_by_role("link", name="Remove…").click()
    assert_fits(page, check_accessible)
    page.get_by_role("button", name="Remove the passkey").click()
    expect(page.locator("main")).to_contain_text("The passkey is removed.")
    assert not Authenticator.objects.filter(user=user).exists()
    device.detach()


@pytest.mark.parametrize("language", ["ru", "en"])
def test_an_app_is_set_up_because_the_role_needs_it_and_lets_one_in_from_then_on(
    page: Page, open_page: Callable, check_accessible: Callable, language: str
):
    """The pages are looked at in Russian, whose words are longer."""
    words = WORDS[language]

    def look() -> None:
        if language == "ru":
            assert_fits(page, check_accessible)

    make_user("olga", "operator")
    Settings.load().change(Actor("anna"), second_factor_level=2)
    use_language(page, language)

    enter_password(page)
    expect(page).to_have_url("/account/factors/")
    look()
    page.get_by_role("link", name=words["set up"], exact=True).click()
    expect(page.locator(".qr")).to_be_visible()
    assert page.locator(".qr").evaluate("image => image.naturalWidth") > 0
    look()
    key = page.locator(".secret").inner_text()
    page.fill("[name=code]", code_of(key))
    page.locator("main").get_by_role("button", name=words["set up"], exact=True).click()
    expect(page.locator(".codes li")).to_have_count(10)
    look()
    page.get_by_role("link", name=words["written"]).click()
    look()

    other = open_page(java_script_enabled=False)
    use_language(other, language)
    enter_password(other)
    expect(other).to_have_url("/login/code/")
    other.fill("[name=code]", code_of(key))
    other.get_by_role("button", name=words["in"]).click()
    expect(other.locator(".side-end")).to_contain_text("olga")

    page.goto("/account/factors/app/remove/")
    look()
    page.goto("/account/factors/codes/new/")
    look()
    page.goto("/account/confirm/?next=/account/factors/")
    look()
    page.goto("/account/confirm/code/?next=/account/factors/")
    look()
