import threading
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.conftest import NOON
from tests.databases import query, stage
from tests.waiting import go_on
from transfer.engine.kinds import KINDS
from transfer.models import (
    Actor,
    BonusServer,
    Heartbeat,
    MaintenanceTask,
    RecurringJob,
    TransferRun,
    TransferTask,
)
from transfer.models.run_base import Trigger
from transfer.models.runs import State
from transfer.queue.worker import drain
from transfer.runs.start import open_run, run_now
from transfer.tick import Tick, open_due, tick

pytestmark = pytest.mark.django_db(transaction=True)

LATER = NOON + timedelta(minutes=5)


def states(task):
    return list(task.runs.order_by("pk").values_list("state", flat=True))


def test_a_due_task_runs_and_is_planned_for_the_next_time(switched_on, shop_all, bonus):
    stage(shop_all, "balances", [("4100", 5)])
    assert tick("test", LATER).opened == 1
    drain(go_on)
    assert query(bonus, "select account, amount from asset") == [("4100", 5)]
    run = switched_on.runs.get()
    assert (run.state, run.trigger, run.applied) == (State.SUCCEEDED, Trigger.SCHEDULE, 1)
    assert TransferTask.objects.get(pk=switched_on.pk).next_run_at == LATER.replace(
        minute=10, second=0
    )


def test_where_nothing_is_due_a_minute_takes_as_many_queries_however_many_tasks(dock, bonus):
    dock(bonus)
    first, *more = [BonusServer(name=f"server {n}", host="localhost") for n in range(21)]
    first.save()
    counted = []
    for servers in ([first], BonusServer.objects.bulk_create(more)):
        TransferTask.objects.bulk_create(
            TransferTask(server=server, kind=kind, enabled=True, next_run_at=LATER)
            for server in servers
            for kind in KINDS
        )
        MaintenanceTask.objects.update(next_run_at=LATER)
        RecurringJob.objects.create_missing()
        RecurringJob.objects.update(due_at=timezone.now() + timedelta(hours=1))
        tick("test", NOON)  # which notes what is wrong
        with CaptureQueriesContext(connection) as queries:
            assert tick("test", NOON) == Tick()
            assert drain(go_on) == 0
        counted.append(len(queries))
    assert counted[0] == counted[1] <= 17


def test_a_task_that_is_not_due_does_not_run(switched_on):
    assert tick("test", NOON).opened == 0


@pytest.mark.parametrize("hours", [1, 48])
def test_missed_times_are_caught_up_once(switched_on, hours):
    late = NOON + timedelta(hours=hours)
    assert tick("test", late).opened == 1
    drain(go_on)
    assert tick("test", late + timedelta(seconds=30)).opened == 0
    assert len(states(switched_on)) == 1


def test_after_the_clock_was_ahead_the_schedule_goes_on(switched_on):
    tick("test", NOON + timedelta(days=300))
    drain(go_on)
    assert tick("test", LATER - timedelta(minutes=1)).opened == 0
    assert TransferTask.objects.get(pk=switched_on.pk).next_run_at == LATER.replace(second=0)
    assert Heartbeat.objects.get().at == LATER - timedelta(minutes=1)
    assert tick("test", LATER).opened == 1


def test_a_disabled_task_never_runs(switched_on, ivan):
    switched_on.switch(False, ivan)
    assert tick("test", LATER + timedelta(days=1)).opened == 0


def test_a_task_enabled_in_the_database_is_planned_and_not_run_at_once(task):
    TransferTask.objects.update(enabled=True)
    assert tick("test", NOON).opened == 0
    assert TransferTask.objects.get(pk=task.pk).next_run_at == NOON.replace(minute=5, second=0)


def test_an_overlap_is_skipped_and_no_failure(switched_on):
    first = open_run(switched_on, Trigger.MANUAL)
    done = tick("test", LATER)
    assert (done.opened, done.skipped) == (0, 1)
    skipped = switched_on.runs.first()
    assert (skipped.state, skipped.error_code) == (State.SKIPPED, "still_queued")
    first.refresh_from_db()
    assert first.state == State.QUEUED
    switched_on.refresh_from_db()
    assert switched_on.failures == 0
    assert switched_on.next_run_at > LATER


def test_an_overlap_with_a_running_one_says_which_runs(switched_on):
    with switched_on.lock():
        running = open_run(switched_on, Trigger.MANUAL)
        running.claim()
        tick("test", LATER)
    skipped = switched_on.runs.first()
    assert skipped.error_code == "already_running"
    assert f"№ {running.pk}" in skipped.error_params["holder"]


def test_one_open_run_per_task_is_a_rule_of_the_database(switched_on):
    open_run(switched_on, Trigger.MANUAL)
    with pytest.raises(IntegrityError), transaction.atomic():
        TransferRun.of(switched_on, Trigger.MANUAL).save()


def test_eight_ticks_at_once_open_one_run(switched_on):
    at_once = threading.Barrier(8)
    opened = []

    def one_of_many():
        try:
            at_once.wait()
            done = tick("test", LATER)
            opened.append((done.opened, done.skipped))
        finally:
            connection.close()

    threads = [threading.Thread(target=one_of_many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(opened) == [(0, 0)] * 7 + [(1, 0)]
    assert states(switched_on) == [State.QUEUED]


def test_a_tick_that_comes_second_to_a_due_task_leaves_it(switched_on):
    tick("test", LATER)
    drain(go_on)
    switched_on.refresh_from_db()
    second = Tick()
    open_due(switched_on, LATER, second)
    assert second == Tick()
    assert states(switched_on) == [State.SUCCEEDED]


def test_many_workers_at_once_execute_a_run_once(switched_on, shop_all, bonus):
    stage(shop_all, "balances", [("4100", 5)])
    run = run_now(switched_on, Actor("ivan"))
    for _ in range(5):  # as ticks do that find its entry gone
        run.enqueue()
    threads = [threading.Thread(target=lambda: (drain(go_on), connection.close())) for _ in "1234"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert query(bonus, "select count(*) from asset") == [(1,)]
    assert states(switched_on) == [State.SUCCEEDED]


def test_the_tick_leaves_a_heartbeat(db):
    tick("cron", NOON)
    beat = Heartbeat.last()
    assert beat.source.endswith(": cron")
    assert beat.is_alive(NOON + timedelta(minutes=3))
    assert not beat.is_alive(NOON + timedelta(minutes=4))


FULL_DISK = """
    create function pg_temp.full_disk() returns trigger language plpgsql as $$
    begin raise 'could not extend file' using errcode = 'disk_full'; end $$;
    create trigger full_disk before insert on transfer_transferrun
        for each row execute function pg_temp.full_disk()
"""


def test_a_schedule_that_cannot_be_written_is_not_said_to_be_alive(server, ivan):
    tick("cron", NOON)
    for task in server.tasks.all()[:2]:
        task.switch(True, ivan, now=NOON)
    with connection.cursor() as cursor:
        cursor.execute(FULL_DISK)
    try:
        assert tick("cron", LATER).failed == ["due_tasks transfertask"]
        assert Heartbeat.last().at == NOON
    finally:
        with connection.cursor() as cursor:
            cursor.execute("drop trigger full_disk on transfer_transferrun")
    assert tick("cron", LATER).opened == 2
    assert Heartbeat.last().at == LATER
