"""Whether a worker waits for runs, by the sessions of real processes."""

import signal
from datetime import timedelta

import pytest
from django.utils import timezone, translation
from django_tasks_db.models import DBTaskResult

from tests.databases import connected, query, run, stage
from tests.waiting import wait_until
from transfer.models import Actor, Heartbeat, RecurringJob, TransferRun
from transfer.models.run_base import State
from transfer.queue.jobs import work_off
from transfer.queue.residents import Workers, count_workers
from transfer.runs.start import run_now
from transfer.runs.workers import in_words, stuck_since, when_it_starts

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]
WORKER = ("db_worker",)


@pytest.fixture(autouse=True)
def in_english():
    with translation.override("en"):
        yield


@pytest.fixture
def start(manage):
    """Starts processes that end with the test."""
    started = []

    def start(*arguments):
        started.append(manage(*arguments))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def is_idle(dsn):
    """A worker that has asked nothing for a second: it is between two looks."""
    return query(
        dsn,
        "select pid from pg_stat_activity where application_name = 'dtadmin db_worker' "
        "and datname = current_database() "
        "and state = 'idle' and state_change < clock_timestamp() - interval '1 second'",
    )


def test_a_worker_is_there_between_two_looks_and_gone_once_it_is_killed(start, own_database):
    assert count_workers() == Workers()
    worker = start(*WORKER, "--interval=60")
    wait_until(lambda: is_idle(own_database), worker)
    assert in_words(count_workers()) == "1 background worker: runs start at once"
    worker.send_signal(signal.SIGKILL)
    wait_until(lambda: count_workers() == Workers())
    assert in_words(count_workers()) == "no background worker: runs that are queued do not start"
    Heartbeat.beat("shop: cron")
    assert in_words(count_workers()) == "no background worker: runs start within a minute"


def test_a_worker_whose_session_was_cut_comes_back(start, own_database):
    worker = start(*WORKER, "--interval=4")
    wait_until(lambda: is_idle(own_database), worker)
    ended = query(
        own_database,
        "select pg_terminate_backend(pid), pid from pg_stat_activity "
        "where application_name = 'dtadmin db_worker' and datname = current_database()",
    )
    wait_until(
        lambda: count_workers() == Workers(1) and pid_of_worker(own_database) != ended[0][1], worker
    )


def pid_of_worker(dsn):
    return query(
        dsn,
        "select max(pid) from pg_stat_activity where application_name = 'dtadmin db_worker' "
        "and datname = current_database()",
    )[0][0]


def test_one_that_ends_with_the_queue_is_not_resident(start, task, shop_all, bonus):
    stage(shop_all, "balances", [("4100", 5)])
    run_now(task, Actor("olga"))
    with connected(bonus) as holder:
        holder.autocommit = False
        run(holder, "lock asset")
        worker = start(*WORKER, "--batch")
        wait_until(lambda: TransferRun.objects.running().filter(expected=1).exists(), worker)
        assert count_workers() == Workers()
        holder.rollback()


@pytest.mark.parametrize("workers", [0, 3])
def test_a_scheduler_brings_the_workers_it_is_told_to(start, workers):
    scheduler = start("run_scheduler", f"--workers={workers}")
    wait_until(lambda: Heartbeat.objects.exists(), scheduler)
    assert count_workers() == Workers(resident=workers)


@pytest.mark.parametrize("command", [WORKER, ("run_scheduler", "--workers=1")])
def test_one_at_work_is_not_free(start, command, task, shop_all, bonus):
    stage(shop_all, "balances", [("4100", 5)])
    worker = start(*command)
    wait_until(lambda: count_workers() == Workers(1), worker)
    assert when_it_starts() == "It starts at once."
    with connected(bonus) as holder:
        holder.autocommit = False
        run(holder, "lock asset")
        run_now(task, Actor("olga"))
        wait_until(TransferRun.objects.running().exists, worker)  # not a recurring job
        assert count_workers() == Workers(1, at_work=1)
        assert when_it_starts() == "It starts as soon as a worker is free."
        assert (
            in_words(count_workers())
            == "1 background worker, busy: runs start as soon as it is free"
        )
        holder.rollback()
    wait_until(TransferRun.objects.good().exists, worker)
    wait_until(lambda: count_workers() == Workers(1), worker)


def test_servers_that_are_slow_or_dead_hold_none_of_the_others_up(
    start, task, dock, second_bonus, shop_all
):
    """Of two workers the slow one occupies one."""
    stage(shop_all, "balances", [("4100", 5)])
    slow = dock(second_bonus, "Бонусный сервер 9")
    dead = dock("host=127.0.0.1 port=9 dbname=none user=nobody", "Бонусный сервер 10")
    worker, _ = (start(*WORKER, "--interval=0.1") for _ in range(2))
    with connected(second_bonus) as holder:
        holder.autocommit = False
        run(holder, "lock asset")
        for ill in (slow, dead):
            run_now(ill.tasks.get(kind="balances"), Actor("olga"))
        wait_until(lambda: slow.runs.running().filter(expected=1).exists(), worker)
        run_now(task, Actor("olga"))
        wait_until(lambda: task.runs.good().exists(), worker)
        assert slow.runs.open().exists()
        assert dead.runs.get().state == State.FAILED
        holder.rollback()
    wait_until(lambda: slow.runs.good().exists(), worker)


def test_free_workers_are_counted_against_what_waits_before(start, task, own_database):
    worker = start(*WORKER, "--interval=60")
    wait_until(lambda: is_idle(own_database), worker)
    run_now(task, Actor("olga"))
    assert when_it_starts() == "It starts at once."
    run_now(task.server.tasks.get(kind="cards"), Actor("olga"))
    assert when_it_starts() == "It starts as soon as a worker is free."


@pytest.mark.parametrize(
    ("tick", "is_stuck"), [("run_due_tasks --no-drain", True), ("run_due_tasks", False)]
)
def test_recurring_jobs_alone_show_within_a_minute_that_nothing_takes_them(tick, is_stuck):
    Heartbeat.beat(f"shop: {tick}")
    work_off.using(priority=RecurringJob.PRIORITY).enqueue("recurringjob", 1)
    assert stuck_since() is None
    at = timezone.now() - timedelta(seconds=40)
    DBTaskResult.objects.update(enqueued_at=at)
    assert stuck_since() == (at if is_stuck else None)


def test_without_workers_only_a_tick_that_drains_takes_it():
    assert (
        when_it_starts() == "It waits: there is no background worker, and the scheduler is silent."
    )
    Heartbeat.beat("shop: run_due_tasks --no-drain")
    assert when_it_starts() == "It waits: there is no background worker."
    Heartbeat.beat("shop: cron")
    assert when_it_starts().startswith("It starts within a minute, today")
    assert when_it_starts(2).startswith("They start within a minute, today")
