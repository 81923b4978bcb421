"""When a task that failed is tried again."""

from datetime import timedelta

import pytest

from tests.conftest import NOON
from tests.waiting import go_on
from transfer.causes.runs import UNEXPECTED
from transfer.errors import TransferError
from transfer.models import Actor, TransferRun
from transfer.models.run_base import Trigger
from transfer.models.runs import State
from transfer.queue.worker import drain
from transfer.runs.start import run_now
from transfer.tick import tick

pytestmark = pytest.mark.django_db(transaction=True)


def fail(task, now):
    """A run of the task that fails at `now`."""
    run = TransferRun.of(task, Trigger.SCHEDULE)
    run.start()
    run.finish(State.FAILED, error=TransferError(UNEXPECTED, "technical"))
    task.refresh_from_db()
    return run


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
