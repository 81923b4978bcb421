"""A link to the log-in, and a provider, that are not what they should be."""

import socket
import threading
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth import SESSION_KEY
from django.core.cache import cache
from django.db import connection
from django.test import Client

from tests.misbehaving import server
from tests.pages.look import words
from tests.provider import is_in, log_in
from tests.records import user
from transfer.models import User
from transfer.pages.account import discovery, provider_http

pytestmark = pytest.mark.django_db
LONG = "a" * 200


def sent_with(**query: str) -> dict[str, list[str]]:
    """The parameters with which a link to the log-in leads to the provider."""
    answer = Client().get(f"/login/sso/?{urlencode(query)}")
    return parse_qs(urlsplit(answer.url).query)


def refusal_of(browser: Client, answer) -> str:
    assert answer.status_code == 302
    assert not is_in(browser)
    return words(browser.get(answer.url))


class TestALink:
    @pytest.mark.parametrize(
        "query",
        [
            {"auth_params": "prompt=none&client_id=another&redirect_uri=https://thief.example"},
            {"scope": "offline_access,admin"},
            {"action": "reauthenticate"},
            {"process": "connect"},
            {"process": "redirect"},
        ],
    )
    def test_changes_nothing_of_what_the_provider_is_asked(self, provider, query):
        changing = {"state", "nonce", "code_challenge"}
        usual, led = sent_with(), sent_with(**query)
        assert {name for name in usual if usual[name] != led[name]} == changing
        assert led.keys() == usual.keys()

    @pytest.mark.parametrize("process", ["connect", "redirect", "x"])
    def test_of_another_process_is_a_log_in_like_others(self, provider, process):
        browser = Client()
        sent = browser.get(f"/login/sso/?process={process}")
        back = provider.let_in("anna", sent.url)
        assert browser.get(back.removeprefix("http://testserver")).url == "/"
        assert is_in(browser)

    def test_that_connects_gives_a_user_who_is_in_no_log_in_of_another(self, provider):
        """A thief's link, which leads to a session of the thief at the provider."""
        root = user("administrator", "root")
        browser = Client()
        browser.force_login(root)
        sent = browser.get("/login/sso/?process=connect")
        back = provider.let_in("anna", sent.url)
        assert browser.get(back.removeprefix("http://testserver")).status_code == 302
        assert not SocialAccount.objects.filter(user_id=root.pk).exists()
        assert browser.session[SESSION_KEY] == str(User.objects.get(username="anna").pk)

    def test_to_another_site_ends_on_the_overview(self, provider):
        assert log_in(provider, Client(), to="https://thief.example/").url == "/"


class TestTheNonce:
    def test_of_each_log_in_is_another(self, provider):
        assert sent_with()["nonce"] != sent_with()["nonce"]

    @pytest.mark.parametrize("nonce", ["of another log-in", "", None])
    def test_of_another_log_in_is_refused(self, provider, nonce):
        provider.says("anna", id_token={"nonce": nonce})
        browser = Client()
        assert "failed" in refusal_of(browser, log_in(provider, browser))
        assert not User.objects.exists()


class TestTwoSubjects:
    def test_of_one_log_in_are_refused(self, provider):
        """The answer about the user is that of another one."""
        provider.says("anna", userinfo={"sub": "another", "groups": ["dt-admins"]})
        browser = Client()
        assert "failed" in refusal_of(browser, log_in(provider, browser))
        assert not User.objects.exists()

    def test_of_a_renewal_end_the_session(self, provider):
        browser = Client()
        log_in(provider, browser)
        provider.says("anna", userinfo={"sub": "another", "groups": ["dt-admins"]})
        session = browser.session
        session["provider"] = {**session["provider"], "next": 0}
        session.save()
        assert not is_in(browser)
        assert User.objects.get(username="anna").role.group == "operator"


class TestANameOfTheProvider:
    def test_of_200_characters_is_refused_in_words(self, provider):
        provider.says(
            "anna", userinfo={"preferred_username": LONG}, id_token={"preferred_username": LONG}
        )
        browser = Client()
        assert "gave no valid user name" in refusal_of(browser, log_in(provider, browser))
        assert not User.objects.exists()

    @pytest.mark.parametrize(
        "claims",
        [
            {"given_name": LONG, "family_name": LONG, "name": LONG},
            {"given_name": ["a"], "name": {"a": 1}, "email": 7},
            {"given_name": "An\0na", "nickname": "\0"},
            {"given_name": "\ud800"},
            {"email": f"{LONG}@{LONG}.example"},
        ],
    )
    def test_that_is_odd_beside_it_does_no_harm(self, provider, claims):
        provider.says("anna", userinfo=claims, id_token=claims)
        browser = Client()
        answer = log_in(provider, browser)
        assert answer.status_code == 302
        assert is_in(browser) or "failed" in words(browser.get(answer.url))

    @pytest.mark.parametrize("name", [7, ["anna"], "", None, "a b", "an\0na"])
    def test_that_can_be_none_is_refused(self, provider, name):
        provider.says("anna", userinfo={"preferred_username": name})
        browser = Client()
        assert log_in(provider, browser).status_code == 302
        assert not User.objects.exclude(username="7").exists()

    def test_whose_subject_is_too_long_is_refused(self, provider):
        provider.says("anna", userinfo={"sub": LONG * 2}, id_token={"sub": LONG * 2})
        browser = Client()
        assert "failed" in refusal_of(browser, log_in(provider, browser))

    def test_of_wide_letters_is_the_name_in_usual_ones(self, provider):
        provider.says("anna", userinfo={"preferred_username": "ａｎｎａ"})
        log_in(provider, Client())
        assert [*User.objects.values_list("username", flat=True)] == ["anna"]

    def test_of_wide_letters_is_no_way_to_an_emergency_user(self, provider):
        user("administrator", "root")
        provider.says("anna", userinfo={"preferred_username": "ｒoot"})
        browser = Client()
        assert "This name is for emergencies" in refusal_of(browser, log_in(provider, browser))
        assert [*User.objects.values_list("username", flat=True)] == ["root"]

    def test_that_imitates_another_by_letters_of_two_alphabets_is_refused(self, provider):
        user("administrator", "root")
        provider.says("anna", userinfo={"preferred_username": "rооt"})
        browser = Client()
        assert "several alphabets" in refusal_of(browser, log_in(provider, browser))
        assert [*User.objects.values_list("username", flat=True)] == ["root"]


@pytest.mark.django_db(transaction=True)
class TestASilentProvider:
    """It takes connections, and does not answer: one of the reasons why it is asked seldom."""

    def ask(self, times: int) -> list[str]:
        """Starts log-ins at the same moment; returns the reasons with which they were refused."""
        why: list[str] = []

        def one() -> None:
            try:
                why.append(Client().get("/login/sso/").url)
            finally:
                connection.close()

        threads = [threading.Thread(target=one) for _ in range(times)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return why

    def silent_at(self, provider, settings, port: int) -> None:
        app = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]
        app["settings"]["server_url"] = f"http://127.0.0.1:{port}"

    def test_is_asked_once_by_many_and_then_not_for_a_while(self, provider, settings, monkeypatch):
        monkeypatch.setattr(provider_http, "SECONDS", 1.0)
        connected: list[int] = []

        def hang(caller: socket.socket, number: int) -> None:
            connected.append(number)
            while caller.recv(1024):
                pass

        with server(hang) as port:
            self.silent_at(provider, settings, port)
            why = self.ask(8)
            assert why == ["/login/?why=unreachable"] * 8
            assert self.ask(1) == ["/login/?why=unreachable"]
        assert len(connected) == 1

    def test_that_answers_a_byte_at_a_time_is_hung_up_on(self, provider, settings, monkeypatch):
        monkeypatch.setattr(provider_http, "SECONDS", 1.0)
        sent: list[int] = []
        hung_up = threading.Event()

        def drip(caller: socket.socket, number: int) -> None:
            caller.recv(1024)
            try:
                for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 10_000:
                    caller.sendall(bytes([byte]))
                    sent.append(byte)
                    if hung_up.wait(0.05):
                        break
            except OSError:
                hung_up.set()

        with server(drip) as port:
            self.silent_at(provider, settings, port)
            assert self.ask(1) == ["/login/?why=unreachable"]
            assert hung_up.wait(10)
        assert len(sent) < 1_000

    def test_that_sends_without_end_is_hung_up_on(self, provider, settings):
        sent: list[int] = []

        def flood(caller: socket.socket, number: int) -> None:
            caller.recv(1024)
            caller.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            for _ in range(1_000):
                caller.sendall(b" " * 65_536)
                sent.append(65_536)

        with server(flood) as port:
            self.silent_at(provider, settings, port)
            assert self.ask(1) == ["/login/?why=unreachable"]
        assert sum(sent) < 16 << 20


class TestTheDiscovery:
    def test_is_fetched_once_for_many_log_ins(self, provider):
        before = provider.times_asked()
        for _ in range(5):
            log_in(provider, Client())
        assert provider.times_asked() == before + 1

    def test_is_fetched_again_after_minutes(self, provider, monkeypatch):
        before = provider.times_asked()
        Client().get("/login/sso/")
        monkeypatch.setattr(discovery, "FRESH", 0)
        cache.clear()
        for _ in range(2):
            Client().get("/login/sso/")
        assert provider.times_asked() == before + 3

    def test_that_names_no_address_is_not_kept(self, provider, settings, monkeypatch):
        def empty(caller: socket.socket, number: int) -> None:
            caller.recv(1024)
            caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        app = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"][0]
        with server(empty) as port:
            app["settings"]["server_url"] = f"http://127.0.0.1:{port}"
            assert Client().get("/login/sso/").url == "/login/?why=failed"
            assert Client().get("/login/sso/").url == "/login/?why=unreachable"  # for seconds
            monkeypatch.setattr(discovery, "PAUSE", 0)
            cache.clear()
            for _ in range(2):
                assert Client().get("/login/sso/").url == "/login/?why=failed"
