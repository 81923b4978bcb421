import signal
import threading
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from tests.conftest import NOON
from tests.databases import connected, query, run as statement, stage
from tests.waiting import wait_until
from transfer.engine.kinds import KINDS
from transfer.errors import TransferError
from transfer.models import (
    Actor,
    BonusServer,
    Heartbeat,
    MaintenanceRun,
    MaintenanceTask,
    RecurringJob,
    TransferRun,
    TransferTask,
)
from transfer.models.run_base import RunClosed, Trigger
from transfer.models.runs import State
from transfer.queue.worker import drain
from transfer.runs import execute
from transfer.runs.maintenance import execute_maintenance
from transfer.runs.start import RunIsOpen, open_run, run_now
from transfer.tick import Tick, open_due, tick

pytestmark = pytest.mark.django_db(transaction=True)

LATER = NOON + timedelta(minutes=5)


def go_on():
    return False


def states(task):
    return list(task.runs.order_by("pk").values_list("state", flat=True))


def fail(task, now):
    """A run of the task that fails at `now`."""
    run = TransferRun.of(task, Trigger.SCHEDULE)
    run.start()
    run.finish(State.FAILED, error=TransferError("technical"))
    task.refresh_from_db()
    return run


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
    assert counted[0] == counted[1] <= 60


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


def test_retries_come_after_a_growing_delay_of_half_an_hour_at_most(task, ivan):
    task.reschedule("0 0 1 1 *", ivan)
    task.switch(True, ivan)
    delays = []
    for _ in range(8):
        run = fail(task, NOON)
        run.refresh_from_db()
        delays.append((run.retry_at - run.finished_at) // timedelta(minutes=1))
        assert task.retry_at == run.retry_at == task.upcoming_at
    assert delays == [1, 2, 4, 8, 16, 30, 30, 30]
    assert task.enabled


def test_a_retry_is_never_later_than_the_next_time_by_schedule(switched_on):
    now = switched_on.next_run_at - timedelta(seconds=59)
    assert switched_on.note_failure(now) is None
    assert switched_on.note_failure(now - timedelta(minutes=2)) == now


def test_a_retry_runs_before_the_next_time_and_leaves_it(switched_on):
    retry_at = switched_on.note_failure(NOON)
    assert retry_at == NOON + timedelta(minutes=1)
    assert tick("test", retry_at - timedelta(seconds=1)).opened == 0
    assert tick("test", retry_at).opened == 1
    switched_on.refresh_from_db()
    assert (switched_on.retry_at, switched_on.next_run_at) == (
        None,
        NOON.replace(minute=5, second=0),
    )


def test_a_success_ends_the_count_of_failures(switched_on):
    switched_on.note_failure(NOON)
    run_now(switched_on, Actor("ivan"))
    drain(go_on)
    switched_on.refresh_from_db()
    assert (switched_on.failures, switched_on.retry_at) == (0, None)


@pytest.mark.parametrize("how", ["off", "paused"])
def test_a_task_that_is_off_or_paused_is_not_retried(switched_on, ivan, how):
    if how == "off":
        switched_on.switch(False, ivan, now=NOON)
    else:
        switched_on.pause(NOON + timedelta(hours=1), ivan, now=NOON)
    assert switched_on.note_failure(NOON) is None


def test_a_failed_run_keeps_its_task_enabled_and_says_when_it_is_tried_again(task, ivan):
    task.reschedule("0 0 1 1 *", ivan)
    task.switch(True, ivan)
    task.server.db_name = "there_is_none"
    task.server.save()
    run_now(task, ivan)
    drain(go_on)
    run = task.runs.get()
    task.refresh_from_db()
    assert (run.state, run.error_code, task.enabled, task.failures) == (
        State.FAILED,
        "database_missing",
        True,
        1,
    )
    assert run.retry_at == task.retry_at is not None


def test_run_now_says_who_and_refuses_a_second_one(task, ivan, django_user_model):
    anna = django_user_model.objects.create_user("anna")
    run = run_now(task, Actor.user_at(anna))
    assert (run.trigger, run.actor, run.state) == (Trigger.MANUAL, anna, State.QUEUED)
    with pytest.raises(RunIsOpen) as caught:
        run_now(task, ivan)
    assert caught.value.run == run
    assert DBTaskResult.objects.count() == 1


def test_a_queued_run_is_cancelled_at_once_and_never_executed(task, ivan, shop_all, bonus):
    stage(shop_all, "balances", [("4100", 5)])
    run = run_now(task, ivan)
    run.cancel(ivan)
    drain(go_on)
    run.refresh_from_db()
    assert (run.state, run.cancelled_by) == (State.CANCELLED, "ivan")
    assert query(bonus, "select count(*) from asset") == [(0,)]
    with pytest.raises(RunClosed):
        run.cancel(ivan)


def test_a_running_run_is_cancelled_after_the_chunk_under_way(task, ivan, shop_all, bonus):
    stage(shop_all, "balances", [("4100", n + 1) for n in range(30)])

    def cancel(run):
        if run.chunks == 2:
            TransferRun.objects.get(pk=run.pk).cancel(ivan)

    run = execute.run_here(task, Trigger.MANUAL, chunk_rows=10, progress=cancel)
    run.refresh_from_db()
    assert (run.state, run.applied, run.waiting) == (State.CANCELLED, 20, 10)
    assert run.cancelled_by == "ivan"
    assert query(bonus, "select count(*) from asset") == [(20,)]


def test_a_cancelled_run_is_no_failure(task, ivan):
    run_now(task, ivan).cancel(ivan)
    task.refresh_from_db()
    assert task.failures == 0


def test_a_command_that_takes_over_does_not_revive_a_run_cancelled_meanwhile(task, ivan):
    queued = run_now(task, ivan)
    stale = TransferRun.objects.get(pk=queued.pk)
    queued.cancel(ivan)
    assert stale.claim() is False
    assert execute.run_here(task, Trigger.COMMAND).pk != queued.pk


def test_a_queued_run_whose_entry_is_gone_is_queued_again(task, ivan):
    run = run_now(task, ivan)
    DBTaskResult.objects.update(status="RUNNING")  # whoever claimed it was killed
    assert tick("test", NOON).queued_again == 1
    assert tick("test", NOON).queued_again == 0
    drain(go_on)
    run.refresh_from_db()
    assert run.state == State.SUCCEEDED


def test_a_worker_that_finds_the_task_locked_leaves_the_run_queued(task, ivan):
    run = run_now(task, ivan)
    worker = threading.Thread(target=lambda: (drain(go_on), connection.close()))
    with task.lock():
        worker.start()
        worker.join()
    run.refresh_from_db()
    assert run.state == State.QUEUED
    assert tick("test", NOON).queued_again == 1


def test_a_run_with_a_live_process_is_not_taken_for_dead(task):
    with task.lock():
        run = TransferRun.of(task, Trigger.MANUAL)
        run.start()
        assert not TransferRun.objects.dead().exists()
    assert TransferRun.objects.dead().get() == run


def test_a_run_whose_worker_was_killed_is_interrupted_and_tried_again(
    switched_on, manage, shop_all, bonus
):
    """A real worker, held up by a lock on the bonus server's table, is killed."""
    stage(shop_all, "balances", [("4100", 5)])
    run = run_now(switched_on, Actor("ivan"))
    with connected(bonus) as holder:
        holder.autocommit = False
        statement(holder, "lock table asset in exclusive mode")
        worker = manage("db_worker", "--batch", "--no-startup-delay", "--no-reload")
        wait_until(lambda: TransferRun.objects.running().filter(expected=1).exists(), worker)
        assert not TransferRun.objects.dead().exists()
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
        wait_until(lambda: TransferRun.objects.dead().exists())
        holder.rollback()
    assert tick("test", NOON).interrupted == 1
    run.refresh_from_db()
    switched_on.refresh_from_db()
    assert run.state == State.INTERRUPTED
    assert (switched_on.enabled, switched_on.failures) == (True, 1)
    tick("test", timezone.now() + timedelta(minutes=10))
    drain(go_on)
    assert switched_on.runs.first().state == State.SUCCEEDED
    assert query(bonus, "select account, amount from asset") == [("4100", 5)]


def test_a_worker_told_to_end_stops_after_the_chunk_and_the_rest_comes_soon(
    switched_on, shop_all, bonus, monkeypatch
):
    monkeypatch.setattr("transfer.engine.move.transfer.CHUNK_ROWS", 10)
    stage(shop_all, "balances", [("4100", n + 1) for n in range(30)])
    run = run_now(switched_on, Actor("ivan"))
    ended = threading.Event()
    monkeypatch.setattr(TransferRun, "is_cancelled", lambda run: ended.set())
    real = execute.execute
    monkeypatch.setattr(execute, "execute", lambda *a, **k: real(*a, **k, chunk_rows=10))
    drain(ended.is_set)
    run.refresh_from_db()
    assert (run.state, run.applied) == (State.INTERRUPTED, 10)


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


def test_one_task_that_breaks_does_not_keep_the_others_from_running(server, ivan):
    broken, whole = server.tasks.order_by("pk")[:2]
    for task in (broken, whole):
        task.switch(True, ivan, now=NOON)
    TransferTask.objects.filter(pk=broken.pk).update(schedule="nonsense")
    assert tick("test", LATER).opened == 1
    assert whole.runs.count() == 1


def test_maintenance_purges_what_ended_long_ago_and_keeps_what_is_needed(task, ivan):
    old = timezone.now() - timedelta(days=200)
    needed = {}
    for name, state in [
        ("gone", "succeeded"),
        ("kept", "failed"),
        ("success", "succeeded"),
        ("skipped", "skipped"),
        ("last", "failed"),
    ]:
        needed[name] = TransferRun.of(task, Trigger.SCHEDULE)
        needed[name].state, needed[name].finished_at = state, old
        needed[name].save()
    TransferRun.objects.filter(pk=needed["last"].pk).update(finished_at=old - timedelta(days=1000))
    purge = MaintenanceTask.objects.get(kind="purge_history")
    run_now(purge, ivan)
    drain(go_on)
    run = MaintenanceRun.objects.get()
    assert (run.state, run.report["runs"]) == (State.SUCCEEDED, 2)
    left = set(TransferRun.objects.values_list("pk", flat=True))
    assert left == {needed[name].pk for name in ("kept", "success", "last")}


def test_maintenance_of_the_staging_tables_says_what_it_removed(task, ivan, shop_all):
    stage(shop_all, "balances", [("4100", 5)])
    execute.run_here(task, Trigger.MANUAL)
    query(
        shop_all, "update \"changeAccountBalanceTemp\" set created_at = now() - interval '1 year'"
    )
    run_now(MaintenanceTask.objects.get(kind="purge_staging"), ivan)
    drain(go_on)
    run = MaintenanceRun.objects.get()
    assert (run.state, run.report["changeAccountBalanceTemp"]) == (State.SUCCEEDED, {"rows": 1})


def cancel(run, ivan):
    run.cancel(ivan)
    return go_on


def stop_the_worker(_run, _ivan):
    return lambda: signal.SIGTERM


@pytest.mark.parametrize(
    ("end", "state"), [(cancel, State.CANCELLED), (stop_the_worker, State.INTERRUPTED)]
)
def test_maintenance_that_shall_end_does_so_after_the_step_under_way(
    server, ivan, shop_all, end, state
):
    """What it has done by then stays done, and the next run does the rest."""
    for kind, row in [("balances", ("1", 5)), ("pincodes", ("1", "2")), ("cards", ("1", "2", 1))]:
        stage(shop_all, kind, [row])
        execute.run_here(server.tasks.get(kind=kind), Trigger.MANUAL)
        query(shop_all, f"update \"{KINDS[kind].staging}\" set created_at = '2020-01-01'")
    run = run_now(MaintenanceTask.objects.get(kind="purge_staging"), ivan)
    run.claim()
    execute_maintenance(run, end(run, ivan))
    (done,) = run.report
    left = [
        kind.staging
        for kind in KINDS.values()
        if query(shop_all, f'select count(*) from "{kind.staging}"') == [(1,)]
    ]
    run.refresh_from_db()
    assert run.state == state
    assert len(left) == 2
    assert done not in left


def test_a_dry_run_of_maintenance_removes_nothing(task, ivan, shop_all):
    stage(shop_all, "balances", [("4100", 5)])
    execute.run_here(task, Trigger.MANUAL)
    query(
        shop_all, "update \"changeAccountBalanceTemp\" set created_at = now() - interval '1 year'"
    )
    for kind in ("purge_staging", "purge_history"):
        run_now(MaintenanceTask.objects.get(kind=kind), ivan, dry_run=True)
    drain(go_on)
    history, staging = MaintenanceRun.objects.order_by("kind")
    assert (staging.state, staging.report["changeAccountBalanceTemp"]) == ("succeeded", {"rows": 1})
    assert (history.state, history.dry_run) == ("succeeded", True)
    assert query(shop_all, 'select count(*) from "changeAccountBalanceTemp"') == [(1,)]
