"""A refresh after which nothing is new is answered by 304; whatever a page shows changes it."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.chain import many_servers, registers
from tests.records import a_reject, a_run, server, user, wait_for
from transfer.causes.connections import UNREACHABLE
from transfer.errors import Unreachable
from transfer.models import (
    AccountJob,
    Actor,
    ApiKey,
    Approver,
    AuditEntry,
    BonusServer,
    CashRegister,
    FlowHour,
    Heartbeat,
    Incident,
    IssuedSecret,
    MaintenanceTask,
    OwnNumber,
    RegisterAccount,
    Settings,
    Shop,
    TransferRun,
    TransferTask,
)
from transfer.models.alerts import Topic
from transfer.models.run_base import State
from transfer.pages.links import key_of
from transfer.pages.parts.versions import GROWS, SMALL
from transfer.parties import database_of
from transfer.problems.kinds import Code

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nothing_asked")]
IVAN = Actor("ivan", address="10.0.0.7")
PAGES = ("overview", "scheduler", "task", "servers", "server_live")
# What is read for each request: who asks. It is in the version as the user and the role.
OF_THE_USER = {"auth_user", "auth_group", "auth_user_groups", "django_session"}
# Who changes these rows changes a row of one of the others, too: a check of the server, a job, a
# person, who leaves an entry in the audit, or a run.
FOLLOWS = {
    ApiKey: (AuditEntry,),
    Approver: (AuditEntry,),
    CashRegister: (AuditEntry,),
    FlowHour: (TransferRun,),
    IssuedSecret: (AccountJob, AuditEntry),
    OwnNumber: (AuditEntry,),
    RegisterAccount: (BonusServer, AccountJob, AuditEntry),
    Shop: (AuditEntry,),
}
# It shows in the version as the oldest entry of the queue.
QUEUE = {"django_tasks_database_dbtaskresult"}


@pytest.fixture
def olga(client):
    olga = user("administrator")
    client.force_login(olga)
    return olga


@pytest.fixture
def task(olga):
    """A task of a server with registers; everything on the pages has something to show."""
    Settings.load().change(IVAN, show_transfer_tasks=True)
    Heartbeat.beat("shop: cron")
    one = server()
    now = timezone.now()
    one.note_answer(now, 0.004, 0.0, "1.0")
    registers(3, [one])
    for each in one.tasks.select_related("server"):
        each.switch(True, IVAN)
        wait_for(each, 0)
        a_run(one, each.kind, queued_at=now - timedelta(minutes=5))
    a_reject(one)
    return one.tasks.select_related("server").get(kind="balances")


def address(page, task):
    return {
        "overview": "/",
        "scheduler": "/scheduler/",
        "task": f"/scheduler/{key_of(task)}/",
        "servers": "/servers/?part=1",
        "server_live": f"{task.server.get_absolute_url()}live/",
    }[page]


def refresh(client, url, version=None):
    known = {"If-None-Match": version} if version else {}
    return client.get(url, headers={"HX-Request": "true", **known})


def version(client, url):
    response = refresh(client, url)
    assert response.status_code == 200
    return response["ETag"]


@pytest.mark.parametrize("page", PAGES)
def test_nothing_new_is_answered_without_a_body_in_few_queries(client, task, page):
    url = address(page, task)
    for _attempt in range(3):  # a minute may end in between
        known = version(client, url)
        with CaptureQueriesContext(connection) as queries:
            response = refresh(client, url, known)
        if response.status_code == 304:
            break
    assert response.status_code == 304
    assert response.content == b""
    assert len(queries) <= 8


@pytest.mark.parametrize("page", PAGES)
def test_a_whole_page_has_no_version(client, task, page):
    assert "ETag" not in client.get(address(page, task))


def begins(task):
    a_run(task.server, state=State.RUNNING, expected=100)


def is_under_way(task):
    TransferRun.objects.filter(state=State.RUNNING).update(applied=40)


def ends(task):
    now = timezone.now()
    TransferRun.objects.filter(state=State.RUNNING).update(state=State.SUCCEEDED, finished_at=now)


def is_switched_by_another(task):
    TransferTask.objects.get(pk=task.pk).switch(False, IVAN)


def is_paused_by_another(task):
    until = timezone.now() + timedelta(hours=1)
    TransferTask.objects.get(pk=task.pk).pause(until, IVAN)


def is_rescheduled_by_another(task):
    TransferTask.objects.get(pk=task.pk).reschedule("0 3 * * *", IVAN)


def has_rows_that_wait(task):
    wait_for(task, 7)


def does_not_answer(task):
    error = Unreachable(UNREACHABLE, party=database_of(task.server.name), reason="refused")
    task.server.note_failure(timezone.now(), error)
    for one in task.server.tasks.select_related("server"):
        wait_for(one, error=error)


def answers_again(task):
    task.server.note_answer(timezone.now(), 0.005, 0.0, "1.0")
    for one in task.server.tasks.select_related("server"):
        wait_for(one, 0)


def incident_opens(task):
    Incident.objects.create(
        topic=Topic.REGISTERS,
        key="shop:1",
        code=Code.REGISTERS,
        params={"shop": "На углу", "n": 2, "names": "Касса 1, Касса 2"},
        url="/registers/?shop=1",
        began_at=timezone.now() - timedelta(minutes=5),
    )


def incident_closes(task):
    Incident.objects.filter(ended_at=None).update(ended_at=timezone.now())


def is_renamed(task):
    BonusServer.objects.filter(pk=task.server.pk).update(name="Бонусный сервер 10")


def is_checked(task):
    RegisterAccount.objects.update(last_seen=timezone.now() - timedelta(days=2), seen_lately=False)
    BonusServer.objects.update(accounts_at=timezone.now())


def setting_changes(task):
    settings = Settings.load()
    settings.change(IVAN, show_transfer_tasks=not settings.show_transfer_tasks)


def user_gets_another_role(task):
    olga = user("viewer", "other")
    olga = type(olga).objects.get(username="olga")
    olga.groups.set([Group.objects.get(name="viewer")])


def cron_runs(task):
    Heartbeat.beat("shop: cron", timezone.now() + timedelta(seconds=1))


RUN = (begins, is_under_way, ends)
OUTAGE = (does_not_answer, incident_opens, incident_closes, answers_again)
WHAT_CHANGES = {
    "overview": (
        *(*RUN, *OUTAGE, is_switched_by_another, is_paused_by_another, is_rescheduled_by_another),
        *(has_rows_that_wait, is_renamed, is_checked, setting_changes, user_gets_another_role),
        cron_runs,
    ),
    "scheduler": (
        *(*RUN, *OUTAGE, is_switched_by_another, is_paused_by_another, is_rescheduled_by_another),
        *(has_rows_that_wait, is_renamed, user_gets_another_role, cron_runs, setting_changes),
    ),
    "task": (
        *(*RUN, is_switched_by_another, is_paused_by_another, is_rescheduled_by_another),
        *(has_rows_that_wait, does_not_answer, answers_again, is_renamed, user_gets_another_role),
    ),
    "servers": (*OUTAGE, is_switched_by_another, is_renamed, is_checked),
    "server_live": (*OUTAGE, is_renamed, is_checked, user_gets_another_role),
}


@pytest.mark.parametrize("page", PAGES)
def test_what_changes_is_sent(client, task, page):
    url = address(page, task)
    missed = []
    for change in WHAT_CHANGES[page]:
        known = version(client, url)
        change(task)
        if refresh(client, url, known).status_code != 200:
            missed.append(change.__name__)
    assert missed == []


@pytest.mark.parametrize("page", PAGES)
def test_every_table_that_the_part_reads_is_in_its_version(client, task, page):
    many_servers(9)
    does_not_answer(task)
    incident_opens(task)
    MaintenanceTask.objects.update(enabled=True)
    covered = {model._meta.db_table for model in [*GROWS, *SMALL, *FOLLOWS]}
    with CaptureQueriesContext(connection) as captured:
        assert refresh(client, address(page, task)).status_code == 200
    tables = set(connection.introspection.table_names())
    read = {name for one in captured for name in re.findall(r'"(\w+)"', one["sql"])} & tables
    assert read - OF_THE_USER - (QUEUE if page == "overview" else set()) <= covered


def test_the_scheduler_with_a_filter_is_always_sent(client, task):
    assert "ETag" not in refresh(client, "/scheduler/?kind=cards")
