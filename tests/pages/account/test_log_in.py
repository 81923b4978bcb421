"""The log-in: who gets in, who guesses, how long a session lasts, and the audit of it."""

import time
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.pages.account.people import HOME, PASSWORD, log_in, somebody
from tests.pages.look import words
from tests.provider import is_in
from transfer.access import Role
from transfer.models import Actor, AuditEntry, User
from transfer.models.logins import OF_A_NAME, OF_A_NETWORK, PERIOD, Guess, locks
from transfer.runs.purge_history import purge_history

pytestmark = pytest.mark.django_db
ELSEWHERE = "10.0.0.66"


@pytest.fixture(autouse=True)
def in_english_too(settings):
    settings.LANGUAGE_CODE = "en"


@pytest.fixture
def olga() -> User:
    return somebody("olga")


def guess(times: int, name="olga", address=ELSEWHERE, browser: Client | None = None) -> None:
    for number in range(times):
        log_in(browser or Client(), name, f"guess {number}", address)


def audit_entries() -> list[tuple[str, str]]:
    return list(AuditEntry.objects.order_by("pk").values_list("who", "action"))


class TestGuessing:
    def test_ends_after_some_wrong_passwords_though_the_next_one_is_right(self, olga):
        guess(OF_A_NAME)
        browser = Client()
        answer = log_in(browser, address=HOME)
        assert "Too many wrong passwords" in words(answer)
        assert not is_in(browser)

    def test_one_less_is_a_person_who_mistypes(self, olga):
        guess(OF_A_NAME - 1)
        browser = Client()
        log_in(browser)
        assert is_in(browser)

    def test_does_not_lock_the_owner_out_of_a_browser_that_is_known(self, olga):
        browser = Client()
        log_in(browser)
        browser.post("/logout/")
        guess(OF_A_NAME, address=HOME)
        guess(OF_A_NETWORK, "anybody", address=HOME)
        log_in(browser)
        assert is_in(browser)

    def test_in_a_known_browser_ends_too_and_harms_no_other_one(self, olga):
        browser, other = Client(), Client()
        for one in (browser, other):
            log_in(one)
            one.post("/logout/")
        guess(OF_A_NAME, browser=browser, address=HOME)
        assert "Too many wrong passwords" in words(log_in(browser))
        log_in(other)
        assert is_in(other)

    def test_a_browser_that_knows_one_name_is_a_stranger_to_another(self, olga):
        somebody("petr")
        browser = Client()
        log_in(browser, "petr")
        browser.post("/logout/")
        petr, olga_cookie = f"browser-{User.objects.get(username='petr').pk}", f"browser-{olga.pk}"
        browser.cookies[olga_cookie] = browser.cookies[petr].value
        guess(OF_A_NAME)
        assert "Too many wrong passwords" in words(log_in(browser))

    def test_of_many_names_locks_the_address_and_nobody_elsewhere(self, olga):
        for number in range(OF_A_NETWORK):
            guess(1, f"name {number}")
        assert "Too many wrong passwords" in words(log_in(Client(), address=ELSEWHERE))
        browser = Client()
        log_in(browser, address=HOME)
        assert is_in(browser)

    def test_is_over_after_a_while(self, olga):
        guess(OF_A_NAME)
        age(PERIOD)
        browser = Client()
        log_in(browser)
        assert is_in(browser)

    def test_has_no_second_door_at_djangos_admin(self, olga):
        root = User.objects.create_superuser("root", password=PASSWORD)
        for number in range(OF_A_NAME):
            log_in(Client(), root.username, f"guess {number}", at="/admin/login/")
        browser = Client()
        log_in(browser, root.username, at="/admin/login/")
        assert not is_in(browser)
        assert Client().get("/admin/login/?next=/admin/").url == "/login/?next=/admin/"

    def test_the_admin_sends_nobody_in_a_circle(self):
        browser = Client()
        somebody("anna", "administrator")
        log_in(browser, "anna")
        assert browser.get("/admin/", follow=True).status_code == 403

    def test_tells_nobody_which_names_there_are(self, olga):
        pages = []
        for name in ("olga", "nobody"):
            guess(OF_A_NAME, name, address="10.1.1.1" if name == "olga" else "10.1.1.2")
            page = words(log_in(Client(), name, address="10.2.2.2"))
            pages.append(page.partition("Too many")[2].partition("Next try")[0])
        assert pages[0] == pages[1] != ""


def age(by: timedelta) -> None:
    """As if all that the audit says, and all guesses, had happened so long before."""
    Guess.objects.update(at=F("at") - by)
    with connection.cursor() as cursor:
        cursor.execute("alter table transfer_auditentry disable trigger user")
        cursor.execute("update transfer_auditentry set at = at - %s", [by])
        cursor.execute("alter table transfer_auditentry enable trigger user")


class TestTheAudit:
    def test_has_each_log_in_refusal_and_lock_with_its_address_and_no_more_while_it_is_locked(
        self, olga
    ):
        log_in(Client())
        guess(OF_A_NAME + 7)
        assert audit_entries() == [
            ("olga", "login"),
            *[("olga", "refuse")] * OF_A_NAME,
            ("olga", "lock"),
        ]
        entries = AuditEntry.objects.order_by("pk")
        assert (entries.first().address, entries.last().address) == (HOME, ELSEWHERE)
        assert entries.first().user_id == olga.pk

    def test_never_holds_a_password_that_was_typed_as_the_name(self, olga):
        log_in(Client(), PASSWORD, "olga")
        (entry,) = AuditEntry.objects.all()
        assert PASSWORD not in str(AuditEntry.objects.values().get())
        assert entry.who.startswith("••••")

    def test_is_read_in_words_and_of_a_user_has_changes_alone(self, client, olga):
        guess(OF_A_NAME)
        client.force_login(somebody("anna", "administrator"))
        page = words(client.get("/audit/"))
        assert "log-in refused" in page
        assert "log-in locked" in page
        assert "log-in refused" not in words(client.get(f"/users/{olga.pk}/"))
        assert "log-in locked" in words(client.get(f"/users/{olga.pk}/"))


class TestALock:
    @pytest.fixture
    def anna(self, client, olga):
        guess(OF_A_NAME)
        client.force_login(somebody("anna", "administrator"))

    def test_stands_on_the_page_of_users_and_is_lifted_there_until_the_guessing_goes_on(
        self, client, anna
    ):
        assert "olga – until" in words(client.get("/users/"))
        client.post("/users/unlock/")
        entry = AuditEntry.objects.latest("pk")
        assert (entry.who, entry.action, entry.new) == ("anna", "unlock", {"locks": "olga"})
        assert "Locks lifted" in words(client.get("/audit/"))
        assert "olga – until" not in words(client.get("/users/"))
        browser = Client()
        log_in(browser)
        assert is_in(browser)
        guess(OF_A_NAME)
        assert [lock.whom for lock in locks()] == ["olga"]


def test_the_old_password_is_guessed_no_more_often_than_at_the_log_in(olga):
    browser, new = Client(), {"new_password1": "battery staple", "new_password2": "battery staple"}
    log_in(browser)
    for number in range(OF_A_NAME):
        browser.post("/account/password/", {"old_password": f"guess {number}", **new})
    page = browser.post("/account/password/", {"old_password": PASSWORD, **new})
    assert "Too many wrong passwords" in words(page)
    assert User.objects.get(pk=olga.pk).check_password(PASSWORD)
    assert audit_entries().count(("olga", AuditEntry.Action.REFUSE)) == OF_A_NAME
    assert audit_entries().count(("olga", AuditEntry.Action.LOCK)) == 1


class TestAStartPassword:
    new = {"new_password1": "battery staple", "new_password2": "battery staple"}

    @pytest.fixture(autouse=True)
    def given(self) -> None:
        User.add(Actor("anna"), role=Role.ADMINISTRATOR, password=PASSWORD, username="petr")

    def test_is_changed_before_anything_else_is_done(self):
        browser = Client()
        log_in(browser, "petr")
        for address in ("/", "/users/", "/account/", "/admin/"):
            assert browser.get(address).url == "/account/password/"
        assert browser.post("/users/unlock/").url == "/account/password/"
        assert "given to you" in words(browser.get("/account/password/"))
        browser.post("/account/password/", {"old_password": PASSWORD, **self.new})
        assert browser.get("/users/").status_code == 200

    def test_is_asked_for_at_every_log_in_until_it_is_changed(self):
        for _ in range(2):
            browser = Client()
            log_in(browser, "petr")
            assert browser.get("/").url == "/account/password/"
            browser.post("/logout/")
        assert not is_in(browser)

    def test_in_place_of_a_lost_password_is_one_too(self, olga):
        olga.replace_password(Actor("anna"), "battery staple")
        browser = Client()
        log_in(browser, password="battery staple")
        assert browser.get("/").url == "/account/password/"

    def test_can_be_kept_by_nobody(self):
        browser = Client()
        log_in(browser, "petr")
        same = {"new_password1": PASSWORD, "new_password2": PASSWORD}
        page = browser.post("/account/password/", {"old_password": PASSWORD, **same})
        assert "This is the old one" in words(page)
        assert browser.get("/").url == "/account/password/"


class TestASession:
    def test_ends_twelve_hours_after_the_last_page(self, olga):
        browser = Client()
        log_in(browser)
        session = Session.objects.get()
        left = session.expire_date - timezone.now()
        assert timedelta(hours=11, minutes=59) < left <= timedelta(hours=12)
        Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
        assert not is_in(browser)

    def test_is_prolonged_by_what_its_user_does_and_not_by_an_open_page(self, olga, settings):
        browser = Client()
        log_in(browser)
        long_ago(browser)
        early = Session.objects.get().expire_date
        browser.get("/", headers={"hx-request": "true"})
        assert Session.objects.get().expire_date == early
        browser.get("/")
        assert Session.objects.get().expire_date > early

    def test_that_has_run_out_goes_with_the_purge(self, olga):
        for _ in range(2):
            log_in(Client())
        Session.objects.filter(pk=Session.objects.first().pk).update(
            expire_date=timezone.now() - timedelta(seconds=1)
        )
        assert purge_history(dry_run=True)["sessions"] == 1
        assert purge_history()["sessions"] == 1
        assert Session.objects.count() == 1


def long_ago(browser: Client) -> None:
    """As if the session's user had done nothing for an hour."""
    session = browser.session
    session["used_at"] = int(time.time()) - 3600
    session.save()


@pytest.mark.parametrize("target", ["o@x.example", "//evil.example", "/\\evil.example", "theme"])
def test_after_a_choice_of_the_theme_one_is_sent_to_no_other_place(client, db, target):
    answer = client.post(reverse("set_theme"), {"theme": "dark", "next": target})
    assert answer.headers["Location"] == "/"
