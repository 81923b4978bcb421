"""What somebody has paused or switched off is a line under "Planned work", and no problem."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.records import server, wait_for
from transfer.engine.kinds import KINDS
from transfer.models import Actor, Heartbeat, PlannedWork

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_english", "nothing_asked")]
IVAN = Actor("ivan")
SOON = timedelta(hours=1)


@pytest.fixture
def tasks():
    """Those of a server, switched on; in each 40 rows have waited for hours."""
    Heartbeat.beat("shop: cron")
    made = server("БС 9")
    tasks = [*made.tasks.select_related("server").order_by("pk")]
    for task in tasks:
        task.switch(True, IVAN)
    for task in tasks:
        wait_for(task, 40, minutes=300)
    return tasks


@pytest.fixture
def lines(client, log_in):
    """The lines of the card, as texts."""
    log_in("viewer")

    def lines():
        rests = client.get(reverse("overview")).context["rests"]
        return [(one.sentence, one.waits, one.by, one.reason) for one in rests]

    return lines


def test_paused_transfers_of_a_server_are_one_line_and_no_problem(tasks, lines, client):
    until = timezone.now() + SOON
    for later, task in enumerate(tasks):  # as a command does it, one after the other
        task.pause(until + later * timedelta(microseconds=1), IVAN, reason="Stocktaking")
    ((sentence, waits, by, reason),) = lines()
    assert sentence.startswith(f"{len(KINDS)} transfers → БС 9: paused until ")
    assert (waits, by, reason) == (f"{40 * len(KINDS)} rows wait", "ivan", "Stocktaking")
    response = client.get(reverse("overview"))
    assert response.context["problems"] == []
    text = response.text
    assert "Planned work" in text
    assert "Stocktaking" in text


def test_a_transfer_that_is_switched_off_says_by_whom_and_why_and_is_never_late(
    tasks, lines, client
):
    tasks[0].switch(False, IVAN, reason="The table is being rebuilt")
    ((sentence, waits, by, reason),) = lines()
    assert sentence == f"{tasks[0]}: switched off"
    assert (waits, by, reason) == ("40 rows wait", "ivan", "The table is being rebuilt")
    late = [one.key for one in client.get(reverse("overview")).context["problems"]]
    assert late == [f"task:{task.pk}" for task in tasks[1:]]


def test_a_transfer_that_nobody_has_ever_switched_rests_only_if_rows_wait(lines):
    new = server("БС 10").tasks.get(kind="cards")
    assert lines() == []
    wait_for(new, 412)
    ((sentence, waits, _by, _reason),) = lines()
    assert (sentence, waits) == (f"{new}: switched off", "412 rows wait")


def test_what_is_switched_off_on_many_servers_at_once_is_one_line(tasks, lines):
    for name in ("БС 10", "БС 11"):
        for task in server(name).tasks.select_related("server"):
            task.switch(True, IVAN)
            tasks.append(task)
    for task in tasks:
        task.switch(False, IVAN, reason="Stocktaking")
    ((sentence, waits, _by, _reason),) = lines()
    n = len(KINDS)
    assert (sentence, waits) == (f"{3 * n} transfers: switched off", f"{40 * n} rows wait")


def test_what_planned_work_has_paused_is_listed_once(tasks, lines):
    now = timezone.now()
    work = PlannedWork(
        server=tasks[0].server, begins_at=now, ends_at=now + SOON, reason="A new disk"
    )
    work.begin(IVAN)
    assert lines() == []
    tasks[1].refresh_from_db()
    tasks[1].pause(now + 2 * SOON, IVAN, reason="Longer")
    assert [reason for *_others, reason in lines()] == ["Longer"]
