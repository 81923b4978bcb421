"""The administrator's page of users: who may log in, and as what."""

import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from html import unescape
from typing import Any

import pytest
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User as AuthUser
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from tests.databases import query
from tests.pages.account.people import PASSWORD, somebody
from tests.records import user
from tests.waiting import wait_until
from transfer.access import Role, has_role
from transfer.models import Actor, AuditEntry, User
from transfer.models.users import one_at_a_time
from transfer.pages.parts.audit_words import subject

pytestmark = pytest.mark.django_db
LIST = "/users/"
ADD = "/users/add/"
NEW = {"username": "petr", "first_name": "Пётр", "last_name": "Ильин", "role": "operator"}
IVAN = Actor("ivan", address="10.0.0.7")


@pytest.fixture(autouse=True)
def anna(client, settings) -> User:
    """The administrator who is logged in."""
    settings.LANGUAGE_CODE = "en"
    made = user("administrator", "anna")
    client.force_login(made)
    return User.objects.get(pk=made.pk)


@pytest.fixture
def olga() -> User:
    """An operator with a password."""
    return somebody("olga")


def logged_in(name: str, password: str = PASSWORD) -> Client:
    """A browser of somebody's, in which the log-in has worked."""
    browser = Client()
    browser.post("/login/", {"username": name, "password": password})
    assert SESSION_KEY in browser.session
    return browser


def may_log_in(name: str, password: str) -> bool:
    return Client().login(username=name, password=password)


def save(client: Client, who: User, seen: dict[str, str] | None = None, **fields: str) -> Any:
    """Saves the page of a user as a browser does: with what it showed before the change."""
    shown = seen or {"first_name": who.first_name, "last_name": who.last_name}
    shown = {"role": who.role.group if who.role else "", **shown}
    before = {f"initial-{name}": value for name, value in shown.items()}
    return client.post(page_of(who), {**shown, **before, **fields}, follow=True)


def page_of(who: User) -> str:
    return reverse("user", args=[who.pk])


def last_entry() -> AuditEntry:
    return AuditEntry.objects.latest("id")


class TestTheList:
    def rows(self, client: Client, **query: str) -> list[str]:
        table = client.get(LIST, query).context["table"]
        return [row.record.username for row in table.paginated_rows]

    def test_says_who_may_log_in_and_as_what(self, client, olga):
        olga.edit(IVAN, first_name="Ольга", last_name="Смирнова")
        html = client.get(LIST).content.decode()
        assert "Ольга Смирнова" in html
        assert "Operator" in html
        assert str(Role.OPERATOR.may) in html
        assert "never" in html  # when olga logged in

    def test_shows_the_role_that_counts(self, client):
        user(None, "nobody")
        both = user("viewer", "both")
        both.groups.add(*AuthUser.objects.get(username="anna").groups.all())
        AuthUser.objects.create_superuser("root")
        for one in User.objects.with_level():
            assert one.shown_role == one.role, one.username
        assert sorted(User.objects.administrators().values_list("username", flat=True)) == [
            "anna",
            "both",
            "root",
        ]
        assert "No role" in client.get(LIST).content.decode()

    def test_has_the_closed_ones_at_its_end_and_sorts(self, client, olga):
        user("viewer", "boris")
        User.objects.get(username="boris").close(IVAN)
        logged_in("olga")
        assert self.rows(client) == ["anna", "olga", "boris"]
        assert self.rows(client, sort="username") == ["anna", "boris", "olga"]
        assert self.rows(client, sort="level") == ["anna", "olga", "boris"]
        assert self.rows(client, sort="-last_login")[-1] == "boris"
        assert self.rows(client, sort="last_login")[-1] == "boris"

    def test_says_what_to_do_when_there_is_nobody_else(self, client):
        alone = "You are the only user so far"
        assert alone in client.get(LIST).content.decode()
        user("viewer")
        assert alone not in client.get(LIST).content.decode()

    def test_stands_in_the_navigation_of_administrators_alone(self, client, olga):
        link = f'href="{LIST}"'
        assert link in client.get("/").content.decode()
        assert link not in logged_in("olga").get("/").content.decode()


class TestAdding:
    def test_makes_a_user_who_may_do_what_the_role_says(self, client):
        client.post(ADD, {**NEW, "password": PASSWORD, "again": PASSWORD})
        petr = User.objects.get(username="petr")
        assert petr.get_full_name() == "Пётр Ильин"
        assert has_role(petr, Role.OPERATOR)
        assert not has_role(petr, Role.ADMINISTRATOR)
        browser, new = logged_in("petr"), "battery staple horse"
        passwords = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
        browser.post("/account/password/", passwords)
        assert browser.get("/").status_code == 200

    def test_shows_a_generated_password_once_and_it_works(self, client):
        answer = client.post(ADD, NEW)
        password = answer.context["generated"]
        assert password in answer.content.decode()
        assert "no-store" in answer.headers["Cache-Control"]
        assert may_log_in("petr", password)
        for page in (LIST, page_of(User.objects.get(username="petr")), "/audit/"):
            assert password not in client.get(page).content.decode()

    @pytest.mark.parametrize("login", ["olga", "OLGA", "Olga"])
    def test_names_a_login_that_is_taken_at_its_field(self, client, olga, login):
        form = client.post(ADD, {**NEW, "username": login}).context["form"]
        assert form.errors == {"username": ["There is a user “olga” already."]}
        assert User.objects.count() == 2

    def test_says_so_when_the_one_who_has_the_login_is_closed(self, client, olga):
        olga.close(IVAN)
        form = client.post(ADD, {**NEW, "username": "olga"}).context["form"]
        assert "Reopen that one." in form.errors["username"][0]

    @pytest.mark.parametrize(
        ("field", "values"),
        [
            ("username", {"username": "olga smirnova"}),
            ("username", {"username": ""}),
            ("role", {"role": "superuser"}),
            ("role", {"role": ""}),
            ("again", {"password": PASSWORD, "again": "correct horse"}),
            ("again", {"password": PASSWORD}),
            ("password", {"password": "short1", "again": "short1"}),
            ("password", {"password": "1029384756102", "again": "1029384756102"}),
            ("password", {"password": "petr-ilin", "again": "petr-ilin", "username": "petr-ilin"}),
        ],
    )
    def test_names_what_is_wrong_at_its_field(self, client, field, values):
        form = client.post(ADD, {**NEW, **values}).context["form"]
        assert list(form.errors) == [field]
        assert not AuditEntry.objects.exists()

    def test_two_at_once_can_not_make_the_same_login_twice(self, anna):
        User.add(IVAN, role=Role.VIEWER, password=PASSWORD, username="petr")
        with pytest.raises(ValidationError):
            User.add(IVAN, role=Role.VIEWER, password=PASSWORD, username="Petr")

    def test_shows_no_password_again_after_an_error(self, client):
        values = {**NEW, "username": "", "password": PASSWORD, "again": PASSWORD}
        assert PASSWORD not in client.post(ADD, values).content.decode()


class TestChanging:
    def test_takes_a_form_that_says_another_role_was_shown_than_there_is(self, client, olga):
        answer = save(client, olga, seen={"role": "operator"}, **{"initial-role": "prefer"})
        assert answer.status_code == 200
        assert User.objects.get(pk=olga.pk).role == Role.OPERATOR

    def test_gives_another_name_and_role_from_the_next_click_on(self, client, olga):
        browser = logged_in("olga")
        save(client, olga, first_name="Ольга", role="viewer")
        olga = User.objects.get(pk=olga.pk)
        assert (olga.first_name, olga.role) == ("Ольга", Role.VIEWER)
        assert browser.get("/").status_code == 200
        assert browser.post("/scheduler/bulk/").status_code == 403

    def test_of_a_superuser_takes_all_of_the_power(self, client):
        root = AuthUser.objects.create_superuser("root")
        save(client, User.objects.get(pk=root.pk), role="viewer")
        root = User.objects.get(pk=root.pk)
        assert (root.role, root.is_superuser, root.is_staff) == (Role.VIEWER, False, False)

    def test_gives_a_role_to_who_has_none(self, client):
        nobody = User.objects.get(pk=user(None, "nobody").pk)
        form = save(client, nobody).context["form"]
        assert list(form.errors) == ["role"]
        save(client, nobody, role="viewer")
        assert User.objects.get(pk=nobody.pk).role == Role.VIEWER

    def test_writes_nothing_over_what_another_did_meanwhile_to_another_field(self, client, olga):
        seen = {"role": "operator", "first_name": "", "last_name": ""}
        olga.edit(IVAN, role=Role.VIEWER)
        save(client, olga, seen, first_name="Ольга")
        olga = User.objects.get(pk=olga.pk)
        assert (olga.first_name, olga.role) == ("Ольга", Role.VIEWER)

    def test_leaves_other_groups_alone(self, client, olga):
        other = olga.groups.create(name="head office")
        save(client, olga, role="viewer")
        assert sorted(olga.groups.values_list("name", flat=True)) == [other.name, "viewer"]

    def test_of_nobody_is_our_page(self, client):
        assert client.get("/users/999999/").status_code == 404


class TestAPassword:
    def url(self, who: User) -> str:
        return reverse("user_password", args=[who.pk])

    def test_that_is_new_logs_the_user_out_everywhere(self, client, olga):
        browser = logged_in("olga")
        client.post(self.url(olga), {"password": "battery staple", "again": "battery staple"})
        assert browser.get("/account/").status_code == 302
        assert not may_log_in("olga", PASSWORD)
        assert may_log_in("olga", "battery staple")

    def test_can_be_generated_and_is_shown_once(self, client, olga):
        answer = client.post(self.url(olga), {"password": "", "again": ""})
        password = answer.context["generated"]
        assert password in answer.content.decode()
        assert may_log_in("olga", password)

    @pytest.mark.parametrize("password", ["short1", "password123", "40918273645"])
    def test_keeps_djangos_rules(self, client, olga, password):
        form = client.post(self.url(olga), {"password": password, "again": password})
        assert list(form.context["form"].errors) == ["password"]
        assert may_log_in("olga", PASSWORD)

    def test_of_ones_own_is_changed_by_who_knows_the_old_one(self, client, anna):
        assert client.get(self.url(anna)).url == "/account/password/"
        assert client.post(self.url(anna)).url == "/account/password/"

    def test_of_ones_own_stands_in_the_audit_too(self, client, olga):
        browser = logged_in("olga")
        new = {"new_password1": "battery staple", "new_password2": "battery staple"}
        browser.post("/account/password/", {"old_password": PASSWORD, **new})
        assert (last_entry().who, last_entry().action) == ("olga", "password")
        assert browser.get("/account/").status_code == 200

    def test_of_ones_own_has_no_second_way_by_djangos_admin(self, client):
        root = Client()
        root.force_login(AuthUser.objects.create_superuser("root"))
        assert root.get("/admin/password_change/").url == "/account/password/"


class TestClosing:
    def test_asks_first(self, client, olga):
        html = client.get(reverse("user_close", args=[olga.pk])).content.decode()
        assert "Close the user olga?" in html
        assert User.objects.get(pk=olga.pk).is_active

    def test_ends_what_is_open_for_good_and_lets_nobody_in_until_it_is_reopened(self, client, olga):
        AuditEntry.record(Actor.user_at(olga), AuditEntry.Action.RUN, olga)
        browser, other = logged_in("olga"), logged_in("olga")
        client.post(reverse("user_close", args=[olga.pk]))
        assert browser.get("/account/").status_code == 302
        assert not may_log_in("olga", PASSWORD)
        assert AuditEntry.objects.filter(who="olga", action="run").exists()
        assert User.objects.filter(username="olga").exists()
        client.post(reverse("user_reopen", args=[olga.pk]))
        assert browser.get("/account/").status_code == 302
        assert other.get("/account/").status_code == 302
        assert may_log_in("olga", PASSWORD)
        assert client.get(LIST).status_code == 200


class TestNobodyLocksEverybodyOut:
    def test_by_closing_oneself(self, client, anna):
        answer = client.post(reverse("user_close", args=[anna.pk]), follow=True)
        assert "You can't close yourself" in unescape(answer.content.decode())
        assert User.objects.get(pk=anna.pk).is_active

    def test_by_taking_ones_own_role(self, client, anna):
        user("administrator", "boris")
        assert "Your own role is changed by another" in client.get(page_of(anna)).content.decode()
        save(client, anna, role="viewer")
        assert User.objects.get(pk=anna.pk).role == Role.ADMINISTRATOR
        with pytest.raises(ValidationError) as refused:
            anna.edit(Actor.user_at(anna), role=Role.VIEWER)
        assert list(refused.value.message_dict) == ["role"]
        assert User.objects.get(pk=anna.pk).role == Role.ADMINISTRATOR

    def test_may_change_ones_own_name(self, client, anna):
        save(client, anna, first_name="Анна")
        assert User.objects.get(pk=anna.pk).first_name == "Анна"

    @pytest.mark.parametrize(
        "remove", [User.close, partial(User.edit, role=Role.OPERATOR)], ids=["close", "role"]
    )
    def test_by_removing_the_last_administrator(self, client, anna, remove):
        """From a page that was opened when there were two."""
        boris = User.objects.get(pk=user("administrator", "boris").pk)
        anna.close(Actor.user_at(boris))
        with pytest.raises(ValidationError, match="boris is the last administrator"):
            remove(boris, Actor.user_at(anna))
        boris = User.objects.get(pk=boris.pk)
        assert (boris.is_active, boris.role) == (True, Role.ADMINISTRATOR)
        assert not AuditEntry.objects.about(boris).exists()

    def test_closed_administrators_do_not_count_and_superusers_do(self, anna):
        boris = User.objects.get(pk=user("administrator", "boris").pk)
        boris.close(IVAN)
        with pytest.raises(ValidationError):
            anna.close(IVAN)
        AuthUser.objects.create_superuser("root")
        anna.close(IVAN)
        assert not User.objects.get(pk=anna.pk).is_active


@pytest.mark.django_db(transaction=True)
def test_two_administrators_who_close_each_other_at_once_can_not_both(own_database: str, anna):
    boris = User.objects.get(pk=user("administrator", "boris").pk)
    refused: list[ValidationError] = []

    def closes(whom: int, who: User) -> Callable[[], None]:
        def close() -> None:
            with closing(connection):
                try:
                    User.objects.get(pk=whom).close(Actor.user_at(who))
                except ValidationError as error:
                    refused.append(error)

        return close

    both = [
        threading.Thread(target=closes(boris.pk, anna)),
        threading.Thread(target=closes(anna.pk, boris)),
    ]
    with transaction.atomic():
        one_at_a_time()
        for one in both:
            one.start()
        wait_until(lambda: waiting_for_a_lock(own_database) == 2)
    for one in both:
        one.join()
    assert len(refused) == 1
    assert User.objects.active().administrators().count() == 1


def waiting_for_a_lock(dsn: str) -> int:
    """Asked on a connection of its own: a transaction sees activity as it was at its first look."""
    ((count,),) = query(
        dsn,
        "select count(*) from pg_stat_activity "
        "where datname = current_database() and wait_event_type = 'Lock'",
    )
    return count


class TestTheAudit:
    def test_says_who_made_whom_what(self, client):
        client.post(ADD, {**NEW, "password": PASSWORD, "again": PASSWORD}, REMOTE_ADDR="10.0.0.9")
        entry = last_entry()
        assert (entry.who, entry.address, entry.action) == ("anna", "10.0.0.9", "create")
        assert subject(entry) == "User petr"
        assert entry.new == {
            "first_name": "Пётр",
            "last_name": "Ильин",
            "role": "operator",
            "state": "active",
        }

    def test_says_what_changed_and_nothing_when_nothing_did(self, client, olga):
        save(client, olga)
        assert not AuditEntry.objects.exists()
        save(client, olga, role="administrator")
        assert (last_entry().old, last_entry().new) == (
            {"role": "operator"},
            {"role": "administrator"},
        )
        client.post(reverse("user_close", args=[olga.pk]))
        assert (last_entry().old, last_entry().new) == ({"state": "active"}, {"state": "closed"})
        client.post(reverse("user_reopen", args=[olga.pk]))
        client.post(reverse("user_reopen", args=[olga.pk]))
        assert AuditEntry.objects.count() == 3

    @pytest.mark.parametrize(
        ("language", "words"),
        [
            ("en", ["User olga", "Operator", "Viewer", "closed the user", "set a new password"]),
            (
                "ru",
                [
                    "Пользователь olga",
                    "Оператор",
                    "Наблюдатель",
                    "Закрыт доступ пользователю",
                    "Задан новый пароль",
                ],
            ),
        ],
    )
    def test_is_read_in_words_and_never_tells_a_password(self, client, olga, language, words):
        olga.edit(IVAN, role=Role.VIEWER)
        client.post(
            reverse("user_password", args=[olga.pk]),
            {"password": "battery staple", "again": "battery staple"},
        )
        olga.close(IVAN)
        client.cookies["django_language"] = language
        html = client.get("/audit/", {"about": f"user-{olga.pk}"}).content.decode()
        for word in words:
            assert word in html
        entries = str(list(AuditEntry.objects.values()))
        olga.refresh_from_db()
        assert "battery" not in entries + html
        assert olga.password not in entries + html

    def test_of_one_user_leads_to_it_alone(self, client, olga):
        olga.edit(IVAN, role=Role.VIEWER)
        User.objects.get(username="anna").edit(IVAN, first_name="Анна")
        answer = client.get("/audit/", {"about": f"user-{olga.pk}"})
        assert [subject(row.record) for row in answer.context["table"].paginated_rows] == [
            "User olga"
        ]
        assert f"about=user-{olga.pk}" in client.get(page_of(olga)).content.decode()


def test_the_first_administrator_comes_from_the_command_line(settings, monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", username="root", email="", interactive=False, verbosity=0)
    assert logged_in("root").get(LIST).status_code == 200
