from collections.abc import Callable

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect

from tests.browser.conftest import IN_BOTH_THEMES, PASSWORD, make_user, use_language
from transfer.models import Actor, AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)


def test_everything_is_closed_until_one_logs_in_and_then_leads_where_one_wanted(page: Page):
    make_user("olga", "viewer")
    page.goto("/account/")
    expect(page.locator("h1")).to_have_text("Войти")
    page.get_by_label("Имя пользователя").fill("olga")
    page.get_by_label("Пароль").fill(PASSWORD)
    page.get_by_role("button", name="Войти").click()
    expect(page).to_have_url("/account/")
    expect(page.locator("h1")).to_have_text("Ваша учётная запись")


def test_a_wrong_password_is_said_and_the_name_is_kept(page: Page):
    page.goto("/login/")
    page.get_by_label("Имя пользователя").fill("olga")
    page.get_by_label("Пароль").fill("wrong")
    page.get_by_role("button", name="Войти").click()
    expect(page.locator(".errorlist.nonfield")).to_be_visible()
    expect(page.get_by_label("Имя пользователя")).to_have_value("olga")


def test_log_out_closes_it_again(page: Page, log_in: Callable):
    log_in(page, "viewer")
    page.goto("/account/")
    page.locator(".side-end").get_by_role("button", name="Выйти").click()
    expect(page).to_have_url("/login/")
    page.go_back()  # the browser has kept no page
    expect(page).to_have_url("/login/?next=/account/")
    page.goto("/")
    expect(page).to_have_url("/login/?next=/")


def test_russian_is_the_default_and_another_language_is_remembered(open_page: Callable):
    page = open_page(locale="en-US")
    page.goto("/login/")
    expect(page.locator("html")).to_have_attribute("lang", "ru")
    page.get_by_role("button", name="English").click()
    expect(page.locator("h1")).to_have_text("Log in")
    page.goto("/login/")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    cookie = next(one for one in page.context.cookies() if one["name"] == "django_language")
    assert cookie["expires"] > 0


@pytest.mark.parametrize("script", [pytest.param(True, marks=pytest.mark.long), False])
def test_the_theme_is_switched_and_remembered_without_a_script_too(
    open_page: Callable, log_in: Callable, script: bool
):
    page = open_page(java_script_enabled=script)
    log_in(page, "viewer")
    page.goto("/account/")
    light = page.locator("body").evaluate("b => getComputedStyle(b.parentNode).backgroundColor")
    page.locator(".side-end").get_by_role("button", name="Тёмное").click()
    page.goto("/account/")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    dark = page.locator("body").evaluate("b => getComputedStyle(b.parentNode).backgroundColor")
    assert dark != light
    page.locator(".side-end").get_by_role("button", name="Как на устройстве").click()
    expect(page.locator("html")).not_to_have_attribute("data-theme", "dark")


def test_the_time_zone_is_chosen_and_named(page: Page, log_in: Callable):
    log_in(page, "viewer")
    page.goto("/account/")
    expect(page.locator("dd time")).to_contain_text("МСК")
    page.get_by_label("Часовой пояс").select_option("Asia/Yekaterinburg")
    page.get_by_role("button", name="Показывать в этом поясе").click()
    expect(page.locator("dd time")).to_contain_text("UTC+5")


def test_the_password_is_changed_and_errors_stand_at_their_field(page: Page, log_in: Callable):
    log_in(page, "viewer")
    page.goto("/account/password/")
    page.get_by_label("Нынешний пароль").fill("wrong")
    page.get_by_label("Новый пароль", exact=True).fill("battery staple horse")
    page.get_by_label("Новый пароль ещё раз").fill("battery staple horse")
    page.locator("main").get_by_role("button", name="Сменить пароль").click()
    old = page.get_by_label("Нынешний пароль")
    expect(old).to_have_attribute("aria-invalid", "true")
    error = page.locator("#" + old.get_attribute("aria-describedby").split()[-1])
    expect(error).to_be_visible()
    old.fill(PASSWORD)
    page.get_by_label("Новый пароль", exact=True).fill("battery staple horse")
    page.get_by_label("Новый пароль ещё раз").fill("battery staple horse")
    page.locator("main").get_by_role("button", name="Сменить пароль").click()
    expect(page.get_by_role("status")).to_have_text("Пароль изменён.")


def test_the_log_in_and_what_a_viewer_sees_first_are_accessible(
    page: Page, log_in: Callable, check_accessible: Callable
):
    page.goto("/login/")
    for language in ("ru", "en"):
        use_language(page, language)
        page.reload()
        check_accessible(page, IN_BOTH_THEMES)
    log_in(page, "viewer")
    page.goto("/")
    check_accessible(page, IN_BOTH_THEMES, menu=True)


def test_djangos_admin_works_under_the_content_policy(page: Page, log_in: Callable):
    olga = log_in(page, "administrator")
    olga.is_staff = olga.is_superuser = True
    olga.save()
    entry = AuditEntry.record(Actor.user_at(olga), AuditEntry.Action.PASSWORD, olga)
    page.goto("/admin/transfer/auditentry/")
    page.get_by_role("link", name=str(entry.pk), exact=True).click()
    expect(page.locator(".field-who .readonly")).to_have_text("olga")


def press_with_an_ended_session(page: Page) -> None:
    """Fills in two forms' worth of fields, one of them a PIN code, and presses the button."""
    page.goto("/load/by-hand/pincodes/")
    page.locator("[name=account]").fill("4100000011")
    page.locator("[name=pincode]").fill("7391")
    Session.objects.all().delete()
    page.locator("main form[method=post] [type=submit]").first.click()
    expect(page.locator("h1")).to_have_text("Войти")


def log_in_by_form(page: Page, name: str) -> None:
    page.get_by_label("Имя пользователя").fill(name)
    page.get_by_label("Пароль").fill(PASSWORD)
    page.get_by_role("button", name="Войти").click()
    expect(page.locator("h1")).not_to_have_text("Войти")


def test_what_was_typed_is_there_again_after_the_log_in_but_for_secrets(
    page: Page, log_in: Callable
):
    log_in(page, "operator")
    press_with_an_ended_session(page)
    stored = page.evaluate("JSON.stringify(sessionStorage)")
    assert "4100000011" in stored
    assert "7391" not in stored
    log_in_by_form(page, "olga")
    expect(page).to_have_url("/load/by-hand/pincodes/")
    expect(page.locator("[name=account]")).to_have_value("4100000011")
    expect(page.locator("[name=pincode]")).to_have_value("")
    expect(page.locator("#form-again")).to_be_visible()
    page.reload()
    expect(page.locator("[name=account]")).to_have_value("")


def test_so_is_what_a_button_within_the_page_sent(page: Page, log_in: Callable):
    log_in(page, "administrator")
    page.goto("/servers/add/")
    page.fill("[name=name]", "Бонусный сервер 8")
    page.fill("[name=db_password]", "s3cret")
    Session.objects.all().delete()
    page.get_by_role("button", name="Проверить соединение").click()
    expect(page.locator("h1")).to_have_text("Войти")
    assert "s3cret" not in page.evaluate("JSON.stringify(sessionStorage)")
    log_in_by_form(page, "olga")
    expect(page).to_have_url("/servers/add/")
    expect(page.locator("[name=name]")).to_have_value("Бонусный сервер 8")
    expect(page.locator("[name=db_password]")).to_have_value("")
    expect(page.locator("#form-again")).to_be_visible()


def test_what_one_user_typed_is_not_shown_to_another(page: Page, log_in: Callable):
    log_in(page, "operator")
    press_with_an_ended_session(page)
    make_user("anna", "operator")
    log_in_by_form(page, "anna")
    page.goto("/load/by-hand/pincodes/")
    expect(page.locator("[name=account]")).to_have_value("")
    expect(page.locator("#form-again")).to_be_hidden()
    assert "4100000011" not in page.evaluate("JSON.stringify(sessionStorage)")
