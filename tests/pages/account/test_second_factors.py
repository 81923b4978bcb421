"""Second factors: set up, asked for at the log-in, demanded of a role, reset."""

import re

import pytest
from allauth.mfa.models import Authenticator
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from tests.pages.account.people import PASSWORD, log_in, somebody
from tests.pages.look import words
from tests.provider import is_in
from tests.second_factors import APP, code_of, set_up_app
from transfer.models import Actor, AuditEntry, Settings, User
from transfer.models.logins import OF_A_NAME

pytestmark = pytest.mark.django_db
FACTORS, CODES = "/account/factors/", "/account/factors/codes/"


@pytest.fixture(autouse=True)
def in_english_too(settings):
    settings.LANGUAGE_CODE = "en"


@pytest.fixture
def olga() -> User:
    return somebody("olga")


@pytest.fixture
def anna() -> Client:
    """The browser of an administrator."""
    somebody("anna", "administrator")
    browser = Client()
    log_in(browser, "anna")
    return browser


@pytest.fixture
def key(olga) -> str:
    """The key of olga's app."""
    browser = Client()
    log_in(browser)
    return set_up_app(browser)


@pytest.fixture
def browser(olga) -> Client:
    """The one in which olga has entered her password."""
    browser = Client()
    log_in(browser)
    return browser


def enter(browser: Client, code: str):
    return browser.post("/login/code/", {"code": code})


def recovery_codes(browser: Client) -> list[str]:
    return re.findall(r"<li>(\d{8})</li>", browser.get(CODES).content.decode())


def last_entry() -> tuple:
    entry = AuditEntry.objects.latest("pk")
    return entry.who, entry.action, entry.new


class TestTheSecondStep:
    def test_asks_for_the_code_after_the_password_and_lets_nobody_in_before(self, key):
        browser = Client()
        assert log_in(browser).url == "/login/code/"
        assert not is_in(browser)
        assert browser.get("/").url == "/login/?next=/"
        assert not AuditEntry.objects.filter(action="login", new__factor="totp").exists()
        assert enter(browser, code_of(key)).url == "/"
        assert is_in(browser)
        assert last_entry() == ("olga", "login", {"factor": "totp"})

    def test_leads_to_the_page_that_was_wanted(self, key):
        browser = Client()
        browser.post("/login/?next=/history/", {"username": "olga", "password": PASSWORD})
        assert enter(browser, code_of(key)).url == "/history/"

    def test_refuses_a_wrong_code_and_one_that_was_used(self, key, browser):
        other = Client()
        page = words(enter(browser, "000000" if code_of(key) != "000000" else "000001"))
        assert "This code is wrong" in page
        assert last_entry() == ("olga", "refuse", {"factor": "code"})
        enter(browser, code_of(key))
        log_in(other)
        assert "This code is wrong" in words(enter(other, code_of(key)))
        assert not is_in(other)

    def test_takes_a_code_of_the_half_minute_before_and_none_that_is_older(self, key):
        now = timezone.now().timestamp()
        browser = Client()
        log_in(browser)
        enter(browser, code_of(key, now - 120))
        assert not is_in(browser)
        enter(browser, code_of(key, now - 30))
        assert is_in(browser)

    def test_can_not_be_reached_without_the_password(self, key):
        browser = Client()
        assert browser.get("/login/code/").url == "/login/"
        assert enter(browser, code_of(key)).url == "/login/"
        assert not is_in(browser)

    def test_ends_with_a_user_who_is_closed_meanwhile(self, olga, key, browser):
        olga.close(Actor("anna"))
        enter(browser, code_of(key))
        assert not is_in(browser)

    def test_is_guessed_no_more_often_than_a_password(self, key, browser):
        for _ in range(OF_A_NAME):
            enter(browser, "12345")
        assert "Too many wrong passwords or codes" in words(enter(browser, code_of(key)))
        assert not is_in(browser)
        assert last_entry()[:2] == ("olga", "lock")

    def test_asks_for_a_password_first_that_somebody_else_knows(self, olga, key):
        olga.replace_password(Actor("anna"), "battery staple")
        browser = Client()
        log_in(browser, password="battery staple")
        enter(browser, code_of(key))
        assert browser.get("/").url == "/account/password/"


class TestRecoveryCodes:
    @pytest.fixture
    def codes(self, olga) -> list[str]:
        browser = Client()
        log_in(browser)
        set_up_app(browser)
        return recovery_codes(browser)

    def test_are_ten_and_shown_once(self, olga, browser):
        set_up_app(browser)
        assert len(recovery_codes(browser)) == 10
        page = browser.get(CODES)
        assert "cannot be shown again" in words(page)
        assert not re.search(r"\d{8}", words(page).partition("<main")[2].partition("</main")[0])

    def test_let_one_in_once_each(self, codes, browser):
        other = Client()
        enter(browser, codes[0])
        assert is_in(browser)
        assert last_entry() == ("olga", "login", {"factor": "recovery_codes"})
        assert "9" in words(browser.get(FACTORS)).partition("Unused")[2][:60]
        log_in(other)
        enter(other, codes[0])
        assert not is_in(other)

    def test_made_again_replace_the_old_ones(self, codes, browser):
        other = Client()
        enter(browser, codes[0])
        browser.post(f"{CODES}new/")
        assert last_entry() == ("olga", "factor", {"renewed": "recovery_codes"})
        new = recovery_codes(browser)
        log_in(other)
        enter(other, codes[1])
        assert not is_in(other)
        enter(other, new[1])
        assert is_in(other)


class TestTheUsersOwnPage:
    def test_shows_the_key_once_and_notes_that_the_app_is_set_up(self, olga, browser):
        key = set_up_app(browser)
        assert last_entry() == ("olga", "factor", {"added": "totp"})
        assert key not in words(browser.get(FACTORS, follow=True))
        assert browser.get(APP).url == f"{APP}remove/"

    def test_keeps_no_secret_that_can_be_read_in_the_database(self, key):
        stored = str([*Authenticator.objects.values_list("data", flat=True)])
        assert key not in stored
        with connection.cursor() as cursor:
            cursor.execute("select data->>'secret' from mfa_authenticator where type = 'totp'")
            assert cursor.fetchone()[0].startswith("gAAAA")
        assert key not in str([*AuditEntry.objects.values()])

    def test_refuses_a_first_code_that_is_wrong(self, olga, browser):
        browser.get(APP)
        assert "This code is wrong" in words(browser.post(APP, {"code": "1"}))
        assert not Authenticator.objects.exists()

    def test_asks_for_the_password_when_the_log_in_was_long_ago(self, olga):
        browser = Client()
        browser.force_login(olga)
        assert browser.get(APP).url.startswith("/account/confirm/?next=")
        confirm = "/account/confirm/"
        assert "Wrong" in words(browser.post(confirm, {"password": "wrong", "next": APP}))
        assert last_entry()[:2] == ("olga", "refuse")
        browser.post(confirm, {"password": PASSWORD, "next": APP})
        assert set_up_app(browser)

    def test_removes_the_app_and_its_recovery_codes(self, key, browser):
        enter(browser, code_of(key))
        browser.post(f"{APP}remove/")
        assert last_entry() == ("olga", "factor", {"removed": "totp"})
        assert not Authenticator.objects.exists()
        other = Client()
        log_in(other)
        assert is_in(other)


class TestARoleThatNeedsOne:
    @pytest.fixture(autouse=True)
    def demanded(self, anna):
        Settings.load().change(Actor("anna"), second_factor_level=2)

    def test_sets_it_up_before_anything_else(self, olga, browser):
        for address in ("/", "/history/", "/account/", "/admin/"):
            assert browser.get(address).url == FACTORS
        assert browser.post("/scheduler/bulk/").url == FACTORS
        assert "Your role needs a second factor" in words(browser.get(FACTORS))
        set_up_app(browser)
        assert browser.get("/history/").status_code == 200

    def test_is_asked_at_the_next_click_of_a_session_that_is_open(self, anna):
        assert anna.get("/users/").url == FACTORS

    def test_does_not_concern_a_lower_role(self):
        somebody("vera", "viewer")
        browser = Client()
        log_in(browser, "vera")
        assert browser.get("/history/").status_code == 200

    def test_can_not_do_without_it_again_by_removing_it(self, key, browser):
        enter(browser, code_of(key))
        browser.post(f"{APP}remove/")
        assert browser.get("/history/").url == FACTORS

    def test_is_chosen_on_the_page_of_the_settings_and_noted(self, anna):
        set_up_app(anna)
        page = words(anna.get("/settings/"))
        assert "Who needs a second factor" in page
        assert "operators and administrators" in page


class TestAReset:
    def test_by_an_administrator_lets_the_user_in_by_password_and_is_noted(self, anna, olga, key):
        page = words(anna.get(f"/users/{olga.pk}/"))
        assert "app with codes" in page
        assert "Reset the second factor of olga?" in words(anna.get(f"/users/{olga.pk}/factors/"))
        inside = Client()
        log_in(inside)
        enter(inside, code_of(key))
        anna.post(f"/users/{olga.pk}/factors/")
        entry = AuditEntry.objects.latest("pk")
        assert (entry.who, entry.action, entry.subject_id) == ("anna", "factor", olga.pk)
        assert entry.new == {"reset": ["recovery_codes", "totp"]}
        assert "reset the second factor of" in words(anna.get("/audit/"))
        assert not is_in(inside)
        browser = Client()
        log_in(browser)
        assert is_in(browser)

    def test_of_a_user_without_one_does_nothing_and_says_so(self, anna, olga):
        page = anna.post(f"/users/{olga.pk}/factors/", follow=True)
        assert "olga has no second factor" in words(page)
        assert not AuditEntry.objects.filter(action="factor").exists()

    def test_on_the_command_line_is_noted_with_the_name_of_who_did_it(self, olga, key):
        call_command("reset_second_factor", "olga")
        who, action, _new = last_entry()
        assert who.endswith("(manage.py)")
        assert action == "factor"
        assert not Authenticator.objects.exists()


def test_a_new_secret_key_keeps_second_factors(key, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another key that is long enough"
    call_command("rotate_secrets")
    settings.SECRET_KEY_FALLBACKS = []
    browser = Client()
    log_in(browser)
    enter(browser, code_of(key))
    assert is_in(browser)


def test_a_lost_secret_key_is_said_in_words(key, settings):
    settings.SECRET_KEY = "another key that is long enough"
    browser = Client()
    log_in(browser)
    assert "SECRET_KEY has changed" in words(enter(browser, code_of(key)))
    assert not is_in(browser)


class TestPasskeysBehindAProxy:
    """A browser gives a passkey only to the name that it sees, and that is the proxy's."""

    OUTSIDE, INSIDE = "dt.shop.example", "app.internal:8000"

    @pytest.fixture
    def browser(self, olga, settings) -> Client:
        settings.ALLOWED_HOSTS = ["app.internal", self.OUTSIDE]
        browser = Client()
        browser.post("/login/", {"username": "olga", "password": PASSWORD}, headers=self.host())
        return browser

    def host(self, name: str = INSIDE) -> dict[str, str]:
        return {"Host": name}

    def name_for(self, browser: Client, host: str = INSIDE) -> str:
        """The name for which a new passkey would be made."""
        page = browser.get("/account/factors/passkeys/", headers=self.host(host))
        return page.context["js_data"]["creation_options"]["publicKey"]["rp"]["id"]

    def test_are_for_the_name_that_browsers_see_if_the_proxy_changes_it(self, browser, settings):
        settings.CSRF_TRUSTED_ORIGINS = [f"https://{self.OUTSIDE}"]
        assert self.name_for(browser) == self.OUTSIDE
        headers = self.host() | {"X-Requested-With": "XMLHttpRequest"}
        asked = Client().get("/login/passkey/", headers=headers).json()
        assert asked["request_options"]["publicKey"]["rpId"] == self.OUTSIDE

    def test_are_for_the_name_of_the_request_if_the_proxy_keeps_it(self, browser, settings):
        assert self.name_for(browser, self.OUTSIDE) == self.OUTSIDE
        settings.CSRF_TRUSTED_ORIGINS = ["https://other.example", f"https://{self.OUTSIDE}:8443"]
        assert self.name_for(browser, self.OUTSIDE) == self.OUTSIDE

    def test_are_for_the_domain_of_all_names_where_the_setting_names_that(self, browser, settings):
        settings.CSRF_TRUSTED_ORIGINS = ["https://*.shop.example"]
        assert self.name_for(browser) == "shop.example"
        assert self.name_for(browser, self.OUTSIDE) == "shop.example"
