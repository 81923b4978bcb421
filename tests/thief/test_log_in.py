"""Somebody guesses passwords: from many addresses, at the same moment, with old cookies."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import SESSION_KEY
from django.db import connection
from django.test import Client
from django.urls import reverse

from tests.pages.look import words
from tests.records import user
from tests.second_factors import code_of, set_up_app
from transfer.models import Actor, AuditEntry, Guess, User, logins
from transfer.models.logins import OF_A_NAME, locks

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"
HOME, ELSEWHERE = "10.0.0.7", "10.0.0.66"
# In place of the product's 50, which tests/pages/account/test_log_in.py has.
OF_A_NETWORK = 14


@pytest.fixture(autouse=True)
def in_english_too(settings, monkeypatch):
    settings.LANGUAGE_CODE = "en"
    monkeypatch.setattr(logins, "OF_A_NETWORK", OF_A_NETWORK)


@pytest.fixture
def olga() -> User:
    made = User.objects.get(pk=user("operator", "olga").pk)
    made.set_password(PASSWORD)
    made.save()
    return made


@pytest.fixture
def administrator(client):
    client.force_login(user("administrator", "anna"))
    return client


@pytest.fixture
def proxys_socket(settings):
    """Behind a proxy that connects to a Unix socket; as gunicorn hands one on."""
    settings.BEHIND_PROXY = "unix"
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_SSL_REDIRECT = True
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        yield {"gunicorn.socket": ours, "REMOTE_ADDR": ""}


def guess_through(proxy, forged, name):
    """Guesses with an address that the browser forges, before the one that the proxy adds."""
    headers = {"X-Forwarded-For": f"{forged}, {ELSEWHERE}", "X-Forwarded-Proto": "https"}
    data = {"username": name, "password": "a guess"}
    return Client(headers=headers).post("/login/", data, **proxy).status_code


class TestAddressesThatABrowserForges:
    def test_hide_it_from_no_lock_behind_the_proxys_socket(self, olga, proxys_socket):
        for number in range(OF_A_NETWORK):
            guess_through(proxys_socket, f"6.6.6.{number}", f"user {number}")
        assert [lock.whom for lock in locks()] == [ELSEWHERE]
        guess_through(proxys_socket, "6.6.6.200", "olga")
        assert evaluated() == OF_A_NETWORK
        others = {"X-Forwarded-For": HOME, "X-Forwarded-Proto": "https"}
        log_in_of_another = {"username": "olga", "password": PASSWORD}
        Client(headers=others).post("/login/", log_in_of_another, **proxys_socket)
        assert AuditEntry.objects.get(action="login").address == HOME

    @pytest.mark.usefixtures("proxys_socket")
    def test_let_no_account_of_the_machine_guess_past_the_proxy(self):
        """It connects to a port, and names the address of somebody else."""
        past = {"REMOTE_ADDR": "127.0.0.1"}
        assert {guess_through(past, f"6.6.6.{number}", "olga") for number in range(20)} == {301}
        assert not Guess.objects.exists()


def log_in(browser, name="olga", password=PASSWORD, address=HOME):
    data = {"username": name, "password": password}
    return browser.post("/login/", data, REMOTE_ADDR=address)


def guess(times, name="olga", address=ELSEWHERE, browser=None):
    for number in range(times):
        log_in(browser or Client(), name, f"guess {number}", address)


def is_in(browser) -> bool:
    return browser.get("/account/").status_code == 200


def evaluated() -> int:
    """How many wrong passwords were checked: each of them is in the audit."""
    return AuditEntry.objects.filter(action="refuse").count()


def known_browsers(many: int) -> list[Client]:
    browsers = [Client() for _ in range(many)]
    for one in browsers:
        log_in(one)
        one.post("/logout/")
    return browsers


class TestKnownBrowsers:
    def test_are_strangers_after_an_administrator_has_set_another_password(self, olga):
        """Each known browser has guesses of its own: of twelve, 120 were checked."""
        thief = known_browsers(12)
        olga.replace_password(Actor("anna"), "battery staple")
        for browser in thief:
            guess(OF_A_NAME, browser=browser, address=HOME)
        assert evaluated() == OF_A_NAME

    def test_are_strangers_after_the_user_has_chosen_another_password(self, olga):
        thief, own = known_browsers(2)
        log_in(own)
        new = {"new_password1": "battery staple", "new_password2": "battery staple"}
        own.post("/account/password/", {"old_password": PASSWORD, **new})
        guess(OF_A_NAME, browser=thief)
        own.post("/logout/")
        log_in(own, password="battery staple", address=ELSEWHERE)
        assert is_in(own)  # the browser in which it was changed knows the new one
        assert "Too many wrong passwords" in words(log_in(thief, password="battery staple"))

    def test_show_their_lock_on_the_page_of_users(self, olga, administrator):
        (browser,) = known_browsers(1)
        guess(OF_A_NAME, browser=browser)
        assert words(administrator.get(reverse("users"))).count("Log-in locked") == 1
        assert "Log-in locked" in words(administrator.get(f"/users/{olga.pk}/"))
        administrator.post(reverse("users_unlock"))
        assert "Log-in locked" not in words(administrator.get(reverse("users")))
        log_in(browser)
        assert is_in(browser)

    @pytest.mark.parametrize("value", ["", "x", "x:y:z", "a" * 5000, "\ud83d"])
    def test_can_not_be_forged(self, olga, value):
        browser = Client()
        browser.cookies[f"browser-{olga.pk}"] = value.encode(errors="replace").decode()
        guess(OF_A_NAME, browser=browser)
        assert Guess.objects.filter(browser="").count() == OF_A_NAME


class TestManyAddresses:
    def test_of_one_network_of_ipv6_are_counted_together(self, olga):
        for number in range(OF_A_NETWORK + 20):
            guess(1, f"name {number}", f"2001:db8:1:2:{number:x}::{number + 1:x}")
        assert evaluated() == OF_A_NETWORK
        assert [lock.whom for lock in locks()] == ["2001:db8:1:2::/64"]
        browser = Client()
        log_in(browser, address="2001:db8:1:3::1")
        assert is_in(browser)

    @pytest.mark.parametrize("form", ["::ffff:10.9.{}.{}", "64:ff9b::10.9.{}.{}", "10.9.{}.{}"])
    def test_of_ipv4_are_counted_apart_in_whatever_form_they_come(self, olga, form):
        for number in range(OF_A_NETWORK + 1):
            guess(1, f"name {number}", form.format(1, number + 1))
        assert not locks()
        browser = Client()
        log_in(browser, address=form.format(2, 1))
        assert is_in(browser)

    def test_an_address_with_its_network_card_is_counted(self, olga):
        guess(OF_A_NAME, address="fe80::1%eth0")
        assert evaluated() == OF_A_NAME

    def test_lock_no_more_names_than_the_page_of_users_can_show(self, olga, administrator):
        Guess.objects.bulk_create(
            Guess(who=f"•••• {name:08x}", network=f"10.0.{name}.1", browser="", is_refused=True)
            for name in range(400)
            for _ in range(OF_A_NAME)
        )
        page = administrator.get(reverse("users"))
        assert len(page.content) < 60_000
        assert "Not shown: 380" in words(page)


class TestALogInThatWaitsForItsSecondFactor:
    """Somebody has the password and, later, a code."""

    @pytest.fixture
    def key(self, olga) -> str:
        browser = Client()
        log_in(browser)
        return set_up_app(browser)

    @pytest.fixture
    def thief(self, key) -> Client:
        browser = Client()
        assert log_in(browser, address=ELSEWHERE).url == "/login/code/"
        return browser

    def enter(self, browser: Client, key: str) -> bool:
        """Enters the code of the next half minute: that of this one was used to set up the app."""
        browser.post("/login/code/", {"code": code_of(key, time.time() + 30)})
        return SESSION_KEY in browser.session

    def test_ends_with_close_for_good(self, thief, key, olga):
        olga.close(Actor("anna"))
        olga.reopen(Actor("anna"))
        assert not self.enter(thief, key)

    def test_ends_while_its_user_is_closed_whoever_closed_it(self, thief, key, olga):
        User.objects.filter(pk=olga.pk).update(is_active=False)
        assert not self.enter(thief, key)

    def test_ends_when_an_administrator_sets_a_new_password(self, thief, key, olga):
        olga.replace_password(Actor("anna"), "battery staple")
        assert not self.enter(thief, key)

    def test_ends_when_the_user_chooses_a_new_password(self, thief, key, olga):
        own = Client()
        own.force_login(olga)
        new = {"new_password1": "battery staple", "new_password2": "battery staple"}
        own.post("/account/password/", {"old_password": PASSWORD, **new})
        assert not self.enter(thief, key)

    def test_ends_when_the_second_factor_is_reset(self, thief, key, olga):
        olga.reset_second_factor(Actor("anna"))
        assert not self.enter(thief, key)
        assert thief.get("/login/code/").url == "/login/"

    def test_of_somebody_else_goes_on(self, thief, key, administrator):
        User.objects.get(username="anna").replace_password(Actor("boris"), "battery staple")
        User.objects.get(pk=user("viewer", "petr").pk).close(Actor("anna"))
        assert self.enter(thief, key)


def test_unknown_names_do_not_make_the_page_of_the_audit_larger(administrator):
    before = len(administrator.get(reverse("audit")).content)
    AuditEntry.objects.bulk_create(
        AuditEntry(who=f"•••• {name:08x}", action="refuse", subject_params={"name": "••••"})
        for name in range(3_000)
    )
    page = administrator.get(reverse("audit"))
    assert len(page.content) < before + 60_000
    assert "unknown names" in words(page)
    of_unknown = administrator.get(reverse("audit"), {"who": "••••"})
    assert "•••• 00000bb7" in words(of_unknown)


@pytest.mark.django_db(transaction=True)
def test_of_many_guesses_at_the_same_moment_no_more_are_checked_than_one_after_the_other(olga):
    at_once = 32
    start = threading.Barrier(at_once)

    def one(number):
        start.wait(60)
        try:
            log_in(Client(), password=f"guess {number}", address=f"10.1.{number}.1")
        finally:
            connection.close()

    with ThreadPoolExecutor(at_once) as threads:
        list(threads.map(one, range(at_once)))
    assert evaluated() == OF_A_NAME
    assert AuditEntry.objects.filter(action="lock").count() == 1
    assert "Too many wrong passwords" in words(log_in(Client()))


@pytest.mark.django_db(transaction=True)
def test_right_passwords_at_the_same_moment_are_all_let_in(olga):
    browsers = [Client() for _ in range(OF_A_NAME)]

    def one(browser):
        try:
            log_in(browser)
        finally:
            connection.close()

    with ThreadPoolExecutor(OF_A_NAME) as threads:
        list(threads.map(one, browsers))
    assert all(map(is_in, browsers))
    assert not Guess.objects.exists()
