from datetime import timedelta

import pytest
from django.core.cache import cache
from django.urls import reverse
from django.utils import timezone

from tests.databases import query, stage
from tests.records import a_reject, a_run, many_tasks, server, wait_for
from transfer.causes.connections import TOO_SLOW, UNREACHABLE
from transfer.engine.kinds import KINDS
from transfer.errors import TooSlow, Unreachable
from transfer.models import (
    Actor,
    CashRegister,
    Heartbeat,
    RegisterAccount,
    RejectedRow,
    Settings,
    Shop,
    TransferRun,
    TransferTask,
)
from transfer.models.run_base import State, Trigger
from transfer.parties import database_of
from transfer.runs import backlog
from transfer.runs.backlog import Backlog
from transfer.runs.execute import run_here

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nothing_asked", "viewer")]
IVAN = Actor("ivan")


@pytest.fixture
def alive(db):
    Settings.load()
    Heartbeat.beat("shop: cron")


@pytest.fixture
def task(alive):
    """Balance changes, switched on; nothing waits for any task."""
    eight = server()
    task = eight.tasks.select_related("server").get(kind="balances")
    task.switch(True, IVAN)
    for one in eight.tasks.all():
        wait_for(one, 0)
    return task


def look(client, **query):
    response = client.get(reverse("overview"), query)
    assert response.status_code == 200
    return response


def problems_on(client):
    """What the problems say, the worst first."""
    return [one.sentence for one in look(client).context["problems"]]


def test_everything_arrives(client, task):
    assert "Everything arrives." in look(client).content.decode()
    assert problems_on(client) == []


def test_it_does_not_say_so_before_it_has_heard(client, task, monkeypatch):
    cache.clear()
    slow = Backlog(error=TooSlow(TOO_SLOW, party=database_of(task.server.name), reason="> 0.7 s"))
    monkeypatch.setattr(backlog, "backlogs", lambda tasks, seconds: {one.pk: slow for one in tasks})
    html = look(client).content.decode()
    assert "Everything arrives." not in html
    assert "being asked" in html


def test_a_scheduler_that_never_ran_or_is_silent_comes_first(client, task):
    Heartbeat.objects.all().delete()
    assert problems_on(client)[0] == "The scheduler has never run"
    Heartbeat.beat("shop: cron", timezone.now() - timedelta(minutes=10))
    assert problems_on(client)[0].startswith("The scheduler has been silent since ")
    later = timezone.now() + timedelta(hours=1)
    Heartbeat.beat("shop: cron", later)
    assert problems_on(client)[0].startswith("The scheduler is silent, and the clock was set back")
    Heartbeat.beat("another machine: cron")
    assert not any("scheduler" in problem for problem in problems_on(client))


def test_a_refusal_comes_first_with_the_exact_next_step(client, alive, receiver, shop_all, bonus):
    """The position is gone with our schema: no further run heals that."""
    task = receiver.tasks.get(kind="balances")
    task.switch(True, IVAN)
    stage(shop_all, "balances", [("1", 1), ("2", 0)])
    run_here(task, Trigger.MANUAL)
    query(bonus, "drop schema datatransfer cascade")
    assert run_here(task, Trigger.MANUAL).error_code == "beginning_undecided"
    first, *_others = look(client).context["problems"]
    assert "has no position of this transfer yet" in first.sentence
    assert f"begin '{receiver.name}' balances" in first.detail
    assert first.url == receiver.get_absolute_url()


def test_that_a_row_counts_once_for_each_server_is_said_where_there_are_several(client, task):
    words = "A waiting row counts once; an applied or rejected one counts for each bonus server."
    at_the_number = "on all servers together"
    shown = client.get(reverse("overview")).text
    assert words not in shown
    assert at_the_number not in shown
    server("Бонусный сервер 9")
    shown = client.get(reverse("overview")).text
    assert words in shown
    assert at_the_number in shown


def test_rejected_rows_are_a_problem_until_the_last_is_closed(client, task):
    for state in ("open", "open", "discarded"):
        a_reject(task.server, state=state)
    RejectedRow.objects.update(created_at=timezone.now() - timedelta(days=3))
    assert problems_on(client) == ["2 rejected rows wait for a decision"]
    RejectedRow.objects.update(state="discarded")
    assert problems_on(client) == []


def test_registers_are_counted_by_urgency_and_each_number_leads_to_just_those(client, task):
    task.server.note_answer(timezone.now(), 0.01, 0, "1")
    nine = server(name="Бонусный сервер 9")
    shop = Shop.objects.create(code="1", name="Ленина, 5")
    for number, fields in enumerate(
        [{"last_seen": timezone.now()}, {}, {}, {"blocked": True}, {"mothballed": True}]
    ):
        idle = fields.pop("mothballed", False)
        till = CashRegister.objects.create(
            shop=shop, code=str(number), name=str(number), mothballed=idle
        )
        for one in (task.server, nine):
            RegisterAccount.objects.create(server=one, register=till, state="created", **fields)
    task.server.accounts.exclude(last_seen=None).update(seen_lately=True)
    groups = look(client).context["registers"]
    assert [(heading, [line[1:3] for line in lines]) for heading, lines in groups] == [
        ("Urgent", [("Offline", 1)]),
        ("Worth a look", [("Blocked", 1), ("Never seen", 2)]),
        ("Nothing to do", [("Online", 1)]),
        ("Not in use", [("Out of service", 1)]),
    ]
    for _heading, lines in groups:
        for *_words, number, url in lines:
            assert len(client.get(url).context["table"].rows) == number


def test_somebody_who_has_not_committed_for_long(client, task):
    wait_for(task, 0, writing_since=timezone.now() - timedelta(minutes=11))
    assert "a transaction has been writing rows since " in problems_on(client)[0]


def test_every_number_leads_to_a_list_of_just_that_many(client, task):
    now = timezone.now()
    a_run(task.server, queued_at=now - timedelta(hours=1), applied=70, unchanged=3)
    a_run(task.server, queued_at=now - timedelta(hours=2), state=State.REJECTS, rejected=2)
    a_run(task.server, queued_at=now - timedelta(hours=3), state=State.FAILED)
    a_run(task.server, queued_at=now - timedelta(hours=25), state=State.FAILED)
    day = look(client).context["day"]
    totals = day["totals"]
    assert [totals[name] for name in ("runs", "applied_rows", "rejected_rows", "bad")] == [
        3, 70, 2, 1,
    ]  # fmt: skip
    for url, number in [(day["url"], 3), (day["bad_url"], 1), (day["rejects_url"], 1)]:
        assert len(client.get(url).context["table"].rows) == number


def test_the_last_24_hours_are_drawn_by_the_hour(client, task):
    now = timezone.now()
    a_run(task.server, queued_at=now, applied=70)
    a_run(task.server, queued_at=now - timedelta(hours=2), applied=5, rejected=1)
    chart = look(client).context["day"]["chart"]
    assert len(chart.labels) == 25
    assert [total for total in chart.totals if total] == [6, 70]


def test_it_says_whether_a_worker_is_there(client, task):
    assert "No background worker: runs start within a minute." in look(client).content.decode()


def test_what_runs_now_has_its_progress(client, task):
    run = a_run(task.server, state=State.RUNNING, expected=200, applied=50)
    html = look(client).content.decode()
    assert run.get_absolute_url() in html
    assert "25 %" in html
    assert 'data-poll="2"' in html


def test_the_next_runs_come_in_their_order(client, task):
    task.server.tasks.get(kind="cards").reschedule("0 3 1 1 *", IVAN)
    for one in task.server.tasks.all():
        one.switch(True, IVAN)
    rows = look(client).context["upcoming"]
    # The history's purge is planned by the tick, which has not been here.
    kinds = [row.task.kind for row in rows]
    assert (sorted(kinds), kinds[-1]) == (sorted(KINDS), "cards")


def test_what_waits_is_counted_before_the_page_is_shown(client, dock, shop_all, bonus, alive):
    eight = dock(bonus)
    task = eight.tasks.get(kind="pincodes")
    run_here(task, Trigger.MANUAL)  # which leaves nothing waiting
    TransferRun.objects.update(finished_at=timezone.now() - timedelta(minutes=1))
    stage(shop_all, "pincodes", [("1", "1"), ("2", "2")])
    response = look(client)
    (row,) = (row for row in response.context["rows"] if row.task == task)
    assert (row.backlog.rows, row.why) == (2, "The task is switched off.")
    part = client.get(reverse("overview"), headers={"hx-request": "true"}).content.decode()
    assert "2 wait" in part
    assert "<html" not in part


def test_a_server_that_is_gone_takes_a_few_seconds_at_most(client, alive, settings):
    eight = server()
    eight.db_host = "127.0.0.1"
    eight.db_port = 1
    eight.save()
    begun = timezone.now()
    response = look(client, ask="1")
    assert timezone.now() - begun < timedelta(seconds=7)
    assert "unknown" in response.content.decode()


def test_what_waits_in_all_has_a_plus_where_a_server_gives_no_answer(client, alive):
    many_tasks(3)
    ill, much, few = TransferTask.objects.all()
    wait_for(few, 5)
    wait_for(much, 7)
    wait_for(ill, 0)
    assert look(client).context["backlog"] == "12"
    wait_for(ill, error=Unreachable(UNREACHABLE, party=database_of("work port"), reason="refused"))
    assert look(client).context["backlog"] == "12+"
    for one in (few, much):
        wait_for(
            one, error=Unreachable(UNREACHABLE, party=database_of("work port"), reason="refused")
        )
    assert look(client).context["backlog"] == "—"


def test_a_row_that_waits_for_two_servers_is_counted_once(client, alive):
    many_tasks(6)
    rows = {"balances": (121, 300), "pincodes": (5, 5), "cards": (0, 7)}
    for kind, counts in rows.items():
        for task, count in zip(TransferTask.objects.filter(kind=kind), counts, strict=True):
            wait_for(task, count)
    assert look(client).context["backlog"] == "312"
