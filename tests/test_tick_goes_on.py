"""A tick that nothing stops: an exception ends one step or one item, and other hosts no step."""

import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from tests import misbehaving
from tests.conftest import NOON
from tests.databases import connected, query, run
from tests.waiting import wait_until
from transfer import tick as ticking
from transfer.models import (
    Actor,
    BonusServer,
    FailedStep,
    Heartbeat,
    RecurringJob,
    TransferTask,
)
from transfer.models.run_base import State
from transfer.queue.worker import drain
from transfer.runs.start import run_now
from transfer.tick import STEPS, tick

pytestmark = pytest.mark.django_db(transaction=True)

LATER = NOON + timedelta(minutes=5)
FAULTS = [KeyError, InterfaceError, OperationalError, Heartbeat.DoesNotExist]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *((name, RuntimeError) for name in STEPS),
        *(("due_tasks", one) for one in FAULTS),
    ],
    ids=lambda one: one if isinstance(one, str) else one.__qualname__,
)
def test_any_exception_ends_its_step_alone_and_is_counted_until_it_succeeds(
    db, monkeypatch, name, fault, caplog
):
    ran = []

    def noted(step, act):
        def noting(ticking):
            ran.append(step)
            act(ticking)

        return noting

    def broken(_ticking):
        ran.append(name)
        raise fault("PIN 4711")

    for step, act in list(STEPS.items()):
        monkeypatch.setitem(STEPS, step, broken if step == name else noted(step, act))
    assert tick("test", NOON).failed == [name]
    assert ran == list(STEPS)
    failed = FailedStep.objects.failing().get()
    assert (failed.step, failed.error, failed.total) == (name, fault.__name__, 1)
    assert f"this step failed: {name}" in caplog.text
    monkeypatch.undo()
    assert tick("test", NOON).failed == []
    assert not FailedStep.objects.failing().exists()
    assert FailedStep.objects.get().total == 1


@contextmanager
def without(table):
    with connection.cursor() as cursor:
        cursor.execute(f"alter table {table} rename to taken_away")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"alter table taken_away rename to {table}")


@pytest.mark.parametrize(
    ("table", "step"),
    [
        ("transfer_upload", "uploads"),
        ("transfer_issuedsecret", "secrets"),
        ("transfer_maintenancerun", "dead_runs maintenancerun"),
        ("transfer_maintenancetask", "due_tasks maintenancetask"),
        ("transfer_incident", "problems"),
        ("transfer_recurringjob", "recurring_jobs"),
    ],
)
def test_a_table_that_is_away_stops_no_transfer(switched_on, table, step):
    with without(table):
        done = tick("test", LATER)
        assert step in done.failed
        assert switched_on.runs.get().state == State.QUEUED


def test_a_connection_that_breaks_in_a_step_is_opened_again_by_the_next(
    switched_on, own_database, monkeypatch
):
    """By a real end of the session, before the step that opens the runs."""

    def cut(_ticking):
        with connection.cursor() as cursor:
            cursor.execute("select pg_backend_pid()")
            (pid,) = cursor.fetchone()
        query(own_database, f"select pg_terminate_backend({pid})")
        Heartbeat.objects.count()

    monkeypatch.setitem(STEPS, "dead_runs", cut)
    done = tick("test", LATER)
    assert (done.failed, done.opened) == (["dead_runs"], 1)


def test_an_item_that_fails_is_put_off_longer_each_time_and_the_others_run(server, ivan):
    broken, whole = server.tasks.order_by("pk")[:2]
    for task in (broken, whole):
        task.switch(True, ivan, now=NOON)
    TransferTask.objects.filter(pk=broken.pk).update(schedule="nonsense")
    item = f"due_tasks transfertask {broken.pk}"
    assert tick("test", LATER).failed == [item]
    assert whole.runs.count() == 1
    assert tick("test", LATER).failed == []  # not at once
    delays = []
    for _ in range(7):
        failed = FailedStep.objects.get()
        delays.append(round((failed.put_off_until - failed.failed_at) / timedelta(minutes=1)))
        FailedStep.objects.update(put_off_until=timezone.now())
        assert tick("test", LATER).failed == [item]
    assert delays == [1, 2, 4, 8, 16, 30, 30]
    TransferTask.objects.filter(pk=broken.pk).update(schedule="*/5 * * * *")
    FailedStep.objects.update(put_off_until=timezone.now())
    assert tick("test", LATER).opened == 1
    assert not FailedStep.objects.failing().exists()


def test_another_host_whose_clock_is_behind_deletes_the_heartbeat_and_ends_no_tick(
    switched_on, monkeypatch
):
    opened = ticking._Ticking.open_due_runs

    def behind(one):
        """Its tick runs between two steps of this one."""
        Heartbeat.forget_later(LATER - timedelta(hours=1))
        opened(one)

    tick("test", LATER - timedelta(minutes=1))
    monkeypatch.setitem(STEPS, "due_tasks", behind)
    assert tick("test", LATER).failed == []
    assert Heartbeat.objects.get().at == LATER


@pytest.fixture
def twenty_dead(shop_all):
    """Bonus servers of whose databases half refuse the connection, and half never answer."""
    with misbehaving.full_queue() as silent:
        for number in range(20):
            port = silent if number % 2 else misbehaving.free_port()
            one = BonusServer(
                name=f"server {number}", host="127.0.0.1", db_host="127.0.0.1", db_port=port,
                admin_port=port, db_name="none", db_user="nobody",
            )  # fmt: skip
            one.dock()
        yield


def test_a_tick_beside_twenty_dead_servers_does_not_wait_for_them(
    twenty_dead, switched_on, settings
):
    with misbehaving.full_queue() as silent:
        settings.SHOP_ALL_DATABASE_URL = f"host=127.0.0.1 port={silent} dbname=none user=nobody"
        others = TransferTask.objects.exclude(pk=switched_on.pk)
        others.update(enabled=True, next_run_at=LATER + timedelta(days=1))
        began = time.monotonic()
        done = tick("test", LATER)
        assert time.monotonic() - began < 30  # each silent one would take five
    assert done.failed == []
    assert switched_on.runs.get().state == State.QUEUED
    assert RecurringJob.objects.lost().count() == 0
    assert RecurringJob.objects.exclude(queue_entry=None).count() == 21 * 3 + 5


def test_runs_leave_the_queue_before_the_jobs_that_wait_for_dead_servers(switched_on):
    tick("test", NOON)
    run = run_now(switched_on, Actor("ivan"))
    drain(lambda: RecurringJob.objects.filter(due_at__gt=timezone.now()).exists())
    run.refresh_from_db()
    assert run.finished_at is not None


def test_a_recurring_job_that_fails_waits_for_its_next_time(dock, shop_all):
    dead = dock(f"host=127.0.0.1 port={misbehaving.free_port()} dbname=x user=y", "dead")
    tick("test")
    drain(lambda: 0)
    job = RecurringJob.objects.get(server=dead, kind=RecurringJob.Kind.MIRROR_REJECTS)
    assert job.error_code == "port_closed"
    assert job.due_at > timezone.now() + timedelta(minutes=14)
    tick("test")
    assert not RecurringJob.objects.lost().filter(pk=job.pk).exists()


@pytest.mark.long
def test_a_resident_worker_goes_on_after_any_failure_of_its_loop(task, own_database, manage):
    worker = manage("db_worker", "--interval=0.1")
    try:
        wait_until(lambda: announced(own_database), worker)
        with connected(own_database) as other:
            run(other, "alter table django_tasks_database_dbtaskresult rename to taken_away")
            try:
                wait_until(lambda: FailedStep.objects.filter(step="queue").exists(), worker)
            finally:
                run(other, "alter table taken_away rename to django_tasks_database_dbtaskresult")
        started = run_now(task, Actor("ivan"))
        wait_until(lambda: type(started).objects.get(pk=started.pk).finished_at, worker)
        wait_until(lambda: not FailedStep.objects.failing().exists(), worker)
    finally:
        worker.kill()
        worker.communicate()


def announced(dsn):
    return query(
        dsn,
        "select pid from pg_stat_activity where application_name = 'dtadmin db_worker' "
        "and datname = current_database()",
    )


def test_the_scheduler_goes_on_after_any_failure_of_a_tick(own_database, manage):
    """Its first tick finds no table, and the workers' look at the queue finds none either."""
    queue = "django_tasks_database_dbtaskresult"
    with connected(own_database) as other:
        run(other, f"alter table {queue} rename to taken_away")
        scheduler = manage("run_scheduler", "--workers=1")
        try:
            wait_until(lambda: FailedStep.objects.filter(step="lost_jobs").exists(), scheduler)
            wait_until(lambda: Heartbeat.objects.exists(), scheduler)
            run(other, f"alter table taken_away rename to {queue}")
            assert scheduler.poll() is None
        finally:
            scheduler.kill()
            scheduler.communicate()
