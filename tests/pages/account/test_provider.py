"""Log-ins at a real provider, which is a process of its own: who gets in, and for how long."""

import time
from typing import Any

import pytest
from django.test import Client

from tests.oidc_provider import SECRET
from tests.pages.account.people import PASSWORD, somebody
from tests.pages.look import words
from tests.provider import is_in, log_in
from transfer.access import Role
from transfer.models import Actor, AuditEntry, User
from transfer.models.secret import cipher
from transfer.pages.account import renewal

pytestmark = pytest.mark.django_db
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def root() -> User:
    return somebody("root", "administrator")


def by_password(browser: Client, name: str) -> Any:
    return browser.post("/login/", {"username": name, "password": PASSWORD})


def later(browser: Client, minutes: int) -> None:
    """As if the provider had answered so long ago."""
    session = browser.session
    state = session["provider"]
    for name in ("next", "until"):
        state[name] -= minutes * 60
    session["provider"] = state
    session.save()


class TestALogIn:
    def test_lets_in_with_the_role_of_the_groups_under_the_name_there(self, provider):
        browser = Client()
        assert log_in(provider, browser, to="/history/").url == "/history/"
        assert browser.get("/history/").status_code == 200
        anna = User.objects.get(username="anna")
        assert (anna.role, anna.first_name) == (Role.OPERATOR, "Anna")
        assert not anna.has_usable_password()
        created, login = AuditEntry.objects.order_by("pk")
        assert (created.who, created.action) == ("Keycloak", "create")
        assert created.new["role"] == "operator"
        assert (login.who, login.action, login.new) == ("anna", "login", {"provider": "Keycloak"})

    def test_gives_the_highest_role_of_several_groups(self, provider):
        provider.has("anna", "all", "dt-admins", "elsewhere")
        log_in(provider, Client())
        assert User.objects.get(username="anna").role == Role.ADMINISTRATOR

    def test_without_a_group_that_has_a_role_is_refused_and_makes_no_user(self, provider):
        provider.has("petr", "elsewhere")
        browser = Client()
        page = browser.get(log_in(provider, browser, "petr").url)
        assert "Your groups at Keycloak give you no role here" in words(page)
        assert not is_in(browser)
        assert not User.objects.exists()

    def test_takes_over_a_user_of_that_name_whose_password_ends(self, provider, root):
        old = somebody("anna", "administrator")
        log_in(provider, Client())
        anna = User.objects.get(username="anna")
        assert (anna.pk, anna.role) == (old.pk, Role.OPERATOR)
        assert not anna.has_usable_password()

    def test_does_not_let_in_under_the_name_of_an_emergency_user(self, provider, root):
        provider.has("root", "dt-admins")
        browser = Client()
        page = browser.get(log_in(provider, browser, "root").url)
        assert "This name is for emergencies" in words(page)
        assert not is_in(browser)
        assert User.objects.get(username="root").has_usable_password()

    def test_does_not_let_in_who_is_closed_here(self, provider):
        log_in(provider, Client())
        User.objects.get(username="anna").close(Actor("root"))
        browser = Client()
        assert "Your access is closed here" in words(browser.get(log_in(provider, browser).url))
        assert not is_in(browser)

    def test_that_comes_back_with_a_state_of_another_browser_is_refused(self, provider):
        """Somebody sends a victim the last step of a log-in of his own."""
        thief, victim = Client(), Client()
        back = provider.let_in("anna", thief.get("/login/sso/").url)
        answer = victim.get(back.removeprefix("http://testserver"))
        assert "failed" in words(victim.get(answer.url))
        assert not is_in(victim)

    def test_without_an_answer_of_the_provider_is_said_in_words(self, provider, settings):
        app = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]
        app["settings"]["server_url"] = NOWHERE
        page = Client().get("/login/sso/", follow=True)
        assert "Keycloak does not answer" in words(page)

    def test_that_the_user_cancels_is_said_in_words(self, provider):
        browser = Client()
        state = browser.get("/login/sso/").url.partition("state=")[2].partition("&")[0]
        query = f"error=access_denied&state={state}"
        page = browser.get(f"/login/sso/callback/?{query}", follow=True)
        assert "You have cancelled" in words(page)

    def test_is_not_there_without_a_provider_in_the_settings(self, db):
        assert Client().get("/login/sso/").status_code == 404
        assert Client().get("/login/sso/callback/?code=1").status_code == 404
        assert "/login/sso/" not in words(Client().get("/login/"))


class TestTheEmergencyLogIn:
    def test_is_named_on_the_page_and_noted(self, provider, root):
        browser = Client()
        assert "Emergency log-in by password" in words(browser.get("/login/"))
        by_password(browser, "root")
        assert is_in(browser)
        entry = AuditEntry.objects.latest("pk")
        assert (entry.who, entry.action, entry.new) == ("root", "login", {"emergency": True})
        assert "for an emergency" in words(browser.get("/audit/"))

    def test_works_while_the_provider_is_away(self, provider, root, settings):
        app = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]
        app["settings"]["server_url"] = NOWHERE
        browser = Client()
        by_password(browser, "root")
        assert is_in(browser)

    def test_lets_in_nobody_whom_the_settings_do_not_name(self, provider):
        somebody("vera", "administrator")
        browser = Client()
        assert "The password is for emergencies alone" in words(by_password(browser, "vera"))
        assert not is_in(browser)

    def test_ends_sessions_by_password_from_before_there_was_a_provider(self, provider, root):
        browser, emergency = Client(), Client()
        browser.force_login(somebody("vera", "administrator"))
        emergency.force_login(root)
        assert not is_in(browser)
        assert is_in(emergency)


class TestAnHourLater:
    @pytest.fixture
    def browser(self, provider) -> Client:
        """The one in which anna has logged in."""
        browser = Client()
        log_in(provider, browser)
        return browser

    def test_the_session_renews_itself_and_takes_the_role_of_the_groups_now(
        self, provider, browser
    ):
        provider.has("anna", "dt-admins")
        assert browser.get("/users/").status_code == 403
        later(browser, 46)
        assert browser.get("/users/").status_code == 200
        entry = AuditEntry.objects.latest("pk")
        assert (entry.who, entry.new) == ("Keycloak", {"role": "administrator"})
        assert browser.session["provider"]["until"] > time.time() + 3500

    def test_who_has_lost_the_group_has_lost_the_role_and_the_session(self, provider, root):
        browser, other = Client(), Client()
        log_in(provider, browser)
        log_in(provider, other)
        provider.has("anna", "elsewhere")
        later(browser, 46)
        assert browser.get("/history/").url.startswith("/login/")
        assert User.objects.get(username="anna").role is None
        assert other.get("/history/").status_code == 403

    def test_the_last_administrator_loses_the_role_too(self, provider):
        provider.has("anna", "dt-admins")
        browser = Client()
        log_in(provider, browser)
        provider.has("anna")
        later(browser, 46)
        browser.get("/")
        assert User.objects.get(username="anna").role is None

    def test_who_is_disabled_at_the_provider_is_out(self, provider, browser):
        provider.has("anna", "dt", active=False)
        later(browser, 46)
        assert not is_in(browser)

    def test_the_next_renewal_uses_the_next_token(self, provider, browser):
        """The provider takes each refresh token once."""
        for _ in range(3):
            later(browser, 46)
            assert is_in(browser)

    def test_a_provider_that_does_not_answer_is_asked_until_the_hour_is_over(
        self, browser, settings
    ):
        app = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]
        app["settings"]["server_url"] = NOWHERE
        later(browser, 46)
        assert is_in(browser)
        later(browser, 15)
        assert not is_in(browser)

    def test_without_a_refresh_token_the_browser_asks_without_a_click(self, provider, browser):
        session = browser.session
        session["provider"] = {**session["provider"], "token": cipher().encrypt(b"").decode()}
        session.save()
        later(browser, 61)
        login = browser.get("/history/").url
        assert login == "/login/?next=/history/"
        assert browser.get(login).url == "/login/sso/?next=%2Fhistory%2F"
        log_in(provider, browser, to="/history/")
        assert is_in(browser)


class TestSecrets:
    def test_no_token_is_in_the_session_or_the_database_to_be_read(self, provider, monkeypatch):
        kept: list[str] = []
        store = renewal._store
        monkeypatch.setattr(
            renewal, "_store", lambda request, token: (kept.append(token), store(request, token))
        )
        browser = Client()
        log_in(provider, browser)
        assert len(kept[0]) > 20
        assert kept[0] not in str(dict(browser.session))
        assert SECRET not in str(dict(browser.session))
        assert kept[0] not in str([*AuditEntry.objects.values()])


def test_the_page_of_a_user_says_where_the_role_comes_from(provider, root):
    log_in(provider, Client())
    anna = User.objects.get(username="anna")
    browser = Client()
    by_password(browser, "root")
    page = words(browser.get(f"/users/{anna.pk}/"))
    assert "Given by the user’s groups at Keycloak" in page
    assert "New password" not in page
    browser.post(f"/users/{anna.pk}/", {"role": "administrator", "first_name": "A"})
    assert User.objects.get(pk=anna.pk).role == Role.OPERATOR
