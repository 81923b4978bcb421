"""Every URL × role × method: who may open what, and who is refused."""

from typing import NamedTuple

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from tests.views.runs import server
from tests.views.test_access import OPEN, own_patterns
from transfer.links import key_of
from transfer.models import MaintenanceRun, MaintenanceTask, TransferRun

ROLES = ["nobody", "without", "viewer", "operator", "administrator"]
METHODS = ["get", "post", "put", "delete"]


class Rule(NamedTuple):
    """The lowest role that may, and by which methods."""

    needs: str
    methods: str


LOOK = Rule("viewer", "get")
ACT = Rule("operator", "post")
FORM = Rule("operator", "get post")
OWN = Rule("without", "get")

RULES = {
    "overview": LOOK,
    "scheduler": LOOK,
    "scheduler_show": Rule("viewer", "post"),
    "scheduler_bulk": ACT,
    "task": LOOK,
    "task_switch": ACT,
    "task_undo": ACT,
    "task_explain": ACT,
    "task_run": ACT,
    "task_cancel": ACT,
    "task_pause": FORM,
    "task_resume": ACT,
    "task_schedule": FORM,
    "history": LOOK,
    "history_csv": LOOK,
    "history_xlsx": LOOK,
    "history_maintenance": LOOK,
    "history_maintenance_csv": LOOK,
    "history_maintenance_xlsx": LOOK,
    "run": LOOK,
    "run_live": LOOK,
    "run_row": LOOK,
    "run_cancel": FORM,
    "run_again": ACT,
    "maintenance_run": LOOK,
    "maintenance_run_live": LOOK,
    "maintenance_run_row": LOOK,
    "maintenance_run_cancel": FORM,
    "maintenance_run_again": ACT,
    "settings": Rule("administrator", "get post"),
    "audit": Rule("administrator", "get"),
    "users": Rule("administrator", "get"),
    "user_add": Rule("administrator", "get post"),
    "user": Rule("administrator", "get post"),
    "user_password": Rule("administrator", "get post"),
    "user_close": Rule("administrator", "get post"),
    "user_reopen": Rule("administrator", "post"),
    "logout": Rule("without", "post"),
    "account": OWN,
    "change_password": Rule("without", "get post put"),
    "set_time_zone": Rule("without", "post"),
}


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Each refusal is logged, with all of its page's variables."""
    caplog.set_level("CRITICAL", "django.request")


@pytest.fixture
def urls(db) -> dict[str, str]:
    task = server().tasks.select_related("server").get(kind="cards")
    run = TransferRun.of(task, "schedule")
    run.save()
    upkeep = MaintenanceRun.of(MaintenanceTask.objects.get(kind="purge_history"), "schedule")
    upkeep.save()

    other = User.objects.create_user("somebody")

    def url(name: str) -> str:
        if name.startswith("user") and name not in ("users", "user_add"):
            return reverse(name, args=[other.pk])
        if name.startswith("task"):
            return reverse(name, args=[key_of(task)])
        if name.startswith(("run", "maintenance_run")):
            return reverse(name, args=[(run if name.startswith("run") else upkeep).pk])
        return reverse(name)

    return {name: url(name) for name in RULES}


def client_of(user: User | None) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


def expected(rule: Rule, role: str, method: str) -> set[int]:
    if role == "nobody":
        return {302}
    if ROLES.index(role) < ROLES.index(rule.needs):
        return {403}
    if method not in rule.methods.split():
        return {405}
    return {200, 302, 409}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_what_the_table_says_and_nothing_else(urls, role):
    user = None if role == "nobody" else User.objects.create_user(role)
    if user is not None and role != "without":
        user.groups.add(Group.objects.get(name=role))
    wrong = []
    for name, rule in RULES.items():
        for method in METHODS:
            # A client of its own for each: one of them logs out.
            response = getattr(client_of(user), method)(urls[name])
            if response.streaming:
                b"".join(response)
            if response.status_code not in expected(rule, role, method):
                wrong.append((name, method, response.status_code))
            if role == "nobody" and not response.url.startswith("/login/"):
                wrong.append((name, method, response.url))
    assert wrong == []


def test_every_url_of_these_pages_stands_in_the_table(db):
    mine = {"scheduler", "task", "history", "run", "maintenance", "settings", "audit", "overview"}
    mine |= {"users", "user"}
    names = {one.name for one in own_patterns() if one.name.split("_")[0] in mine} - OPEN
    assert names - set(RULES) == set()


def test_nothing_is_written_without_the_key_against_forgery(urls):
    client = Client(enforce_csrf_checks=True)
    user = User.objects.create_superuser("root")
    client.force_login(user)
    open_to = [
        name
        for name, rule in RULES.items()
        if "post" in rule.methods and client.post(urls[name]).status_code != 403
    ]
    assert open_to == []
