"""A run that is cancelled, or whose worker ends or is killed."""

import signal
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from tests.conftest import NOON
from tests.databases import connected, query, run as statement, stage
from tests.waiting import go_on, wait_until
from transfer.models import Actor, TransferRun
from transfer.models.run_base import RunClosed, Trigger
from transfer.models.runs import State
from transfer.queue.worker import drain
from transfer.runs import execute
from transfer.runs.start import RunIsOpen, run_now
from transfer.tick import tick

pytestmark = pytest.mark.django_db(transaction=True)


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
    DBTaskResult.objects.update(status="RUNNING")  # the worker that claimed it was killed
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
        worker = manage("db_worker", "--batch")
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
