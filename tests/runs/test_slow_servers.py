"""Which bonus servers take up the workers while jobs of others wait."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from tests.records import server
from transfer.models import RecurringJob, TransferRun
from transfer.models.run_base import Trigger
from transfer.queue.jobs import queue_of_server, work_off
from transfer.runs.slow_servers import slow_servers

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def slow():
    return server("БС 8")


@pytest.fixture
def other():
    return server("БС 9")


def entry(of, queued, began=None, ended=None, priority=0):
    """An entry that was queued, taken and finished so many seconds ago; None: not yet."""
    task = work_off.using(queue_name=queue_of_server(of.pk), priority=priority)
    number = task.enqueue("transferrun", 1).id
    at = {"enqueued_at": queued, "started_at": began, "finished_at": ended}
    ago = {name: seconds and NOW - timedelta(seconds=seconds) for name, seconds in at.items()}
    status = "READY" if began is None else "RUNNING" if ended is None else "SUCCESSFUL"
    DBTaskResult.objects.filter(pk=number).update(status=status, **ago)
    return number


def found(seconds_later=0):
    return slow_servers(NOW + timedelta(seconds=seconds_later))


def test_one_whose_job_takes_minutes_while_another_waits_is_found_with_since_when(slow, other):
    entry(slow, 400, 400, 100)
    entry(other, 300, 100, 99)
    assert found() == {slow: NOW - timedelta(seconds=300)}


def test_one_whose_steps_take_the_time_together_is_found(slow, other):
    for second in range(400, 100, -50):
        entry(slow, second, second, second - 45)
    entry(other, 300)
    assert list(found()) == [slow]


def test_it_is_forgotten_a_quarter_of_an_hour_after_the_other_job_was_taken(slow, other):
    entry(slow, 400, 400, 100)
    entry(other, 300, 100, 99)
    assert found(seconds_later=15 * 60 - 101)
    assert not found(seconds_later=15 * 60 - 99)


def test_a_server_whose_own_jobs_wait_for_each_other_is_none(slow, other):
    entry(slow, 400, 400, 100)
    entry(slow, 300, 100, 99)
    assert found() == {}


def test_no_server_is_blamed_where_no_worker_was_there(slow, other):
    """The first worker takes the jobs one after the other, each of which is short."""
    entry(slow, 4000, 100, 70)
    entry(other, 4000, 70, 69)
    assert found() == {}


def test_no_server_is_blamed_if_several_share_the_workers(slow, other):
    third = server("БС 10")
    entry(slow, 400, 400, 100)
    entry(other, 400, 400, 100)
    entry(third, 300, 100, 99)
    assert found() == {}


def test_recurring_jobs_wait_without_blame(slow, other):
    entry(slow, 400, 400, 100)
    entry(other, 300, priority=RecurringJob.PRIORITY)
    assert found() == {}


@pytest.mark.parametrize("is_alive", [True, False])
def test_a_job_under_way_counts_and_one_whose_worker_was_killed_does_not(slow, other, is_alive):
    run = TransferRun.of(slow.tasks.get(kind="balances"), Trigger.MANUAL)
    run.queue_entry = entry(slow, 400, 400)
    entry(other, 300)
    if is_alive:
        with run.task.lock():
            run.start()
            assert list(found()) == [slow]
    else:
        run.start()
        assert found() == {}
