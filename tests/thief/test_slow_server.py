"""A bonus server that is slow in each statement takes the workers away from none of the others."""

import pytest
from django_tasks_db.models import DBTaskResult

from tests.databases import connected, query, run as statement
from tests.runs.test_workers import is_idle
from tests.waiting import go_on, wait_until
from transfer.engine.move.transfer import CHUNK_ROWS
from transfer.models import Actor, TransferRun
from transfer.models.run_base import State, Trigger
from transfer.queue.worker import drain
from transfer.runs.execute import execute
from transfer.runs.start import run_now
from transfer.tick import tick

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]

CHUNKS = 3
SLOW = """
    create function takes_its_time() returns trigger language plpgsql as $$ begin
        perform pg_sleep(0.3);
        return null;
    end $$;
    create trigger slow before insert on asset for each statement execute function takes_its_time();
"""


@pytest.fixture
def slow(dock, second_bonus):
    """A bonus server that sleeps in each statement, and for which several chunks wait."""
    server = dock(second_bonus, "slow")
    with connected(second_bonus) as vendor:
        statement(vendor, SLOW)
    return server


@pytest.fixture
def worker(manage):
    worker = manage("db_worker", "--interval=0.1")
    yield worker
    worker.kill()
    worker.communicate()


def stage_chunks(shop_all):
    query(
        shop_all,
        'insert into "changeAccountBalanceTemp" (account, amount) '
        "select number::text, 5 from generate_series(1, %s) as number",
        [(CHUNKS - 1) * CHUNK_ROWS + 1],
    )


def turns():
    """The runs in the order in which workers took them from the queue."""
    taken = DBTaskResult.objects.exclude(started_at=None).order_by("started_at")
    entries = taken.values_list("args_kwargs", flat=True)
    jobs = [entry["args"] for entry in entries]
    return [TransferRun.objects.get(pk=number) for model, number in jobs if model == "transferrun"]


def order(server, kind="balances"):
    return run_now(server.tasks.get(kind=kind), Actor("olga"))


def test_beside_a_slow_server_another_one_waits_for_one_chunk_and_its_run_loses_nothing(
    receiver, slow, shop_all, second_bonus, worker
):
    """One worker; three chunks, each as long as the test holds a lock, or the server sleeps."""
    stage_chunks(shop_all)
    with connected(second_bonus) as holder:
        holder.autocommit = False
        statement(holder, "lock asset in exclusive mode")
        long = order(slow)
        wait_until(lambda: slow.runs.running().exclude(expected=0).exists(), worker)
        began = slow.runs.get().started_at
        other = order(receiver)
        holder.rollback()
    wait_until(lambda: TransferRun.objects.good().count() == 2, worker)
    assert turns()[:2] == [long, other]
    assert turns().count(long) > 1  # the slow one has given way, and went on
    other.refresh_from_db()
    long.refresh_from_db()
    rows = (CHUNKS - 1) * CHUNK_ROWS + 1
    assert other.applied == long.applied == rows
    assert long.finished_at > other.started_at
    assert slow.runs.get() == long
    assert (long.state, long.chunks, long.waiting) == (State.SUCCEEDED, CHUNKS, 0)
    assert long.started_at == began
    assert long.task.failures == 0
    assert query(second_bonus, "select count(*), sum(amount) from asset") == [(rows, 5 * rows)]


def test_the_next_job_is_that_of_the_server_whose_last_one_ended_longest_ago(
    receiver, slow, shop_all
):
    for kind in ("balances", "cards", "pincodes"):
        order(slow, kind)
    last = order(receiver)
    drain(go_on)
    assert [run.server for run in turns()] == [slow, receiver, slow, slow]
    assert turns()[1] == last
    order(slow)
    order(receiver)
    drain(go_on)
    assert [run.server for run in turns()][4:] == [receiver, slow]


def test_a_run_that_gave_way_goes_on_although_its_process_died_before_it_was_queued_again(
    receiver, slow, shop_all, second_bonus
):
    """What is lost is the entry in the queue: the tick finds the run."""
    stage_chunks(shop_all)
    run = TransferRun.of(slow.tasks.get(kind="balances"), Trigger.MANUAL)
    with run.task.lock():
        run.start()
        execute(run, run.task, stopped=go_on, others_wait=lambda: True)
    assert (run.state, run.chunks, run.applied) == (State.QUEUED, 1, CHUNK_ROWS)
    assert tick("test").queued_again == 1
    drain(go_on)
    run.refresh_from_db()
    assert (run.state, run.chunks) == (State.SUCCEEDED, CHUNKS)


def test_a_run_that_gave_way_can_be_cancelled_before_and_after(slow, shop_all):
    stage_chunks(shop_all)
    run = TransferRun.of(slow.tasks.get(kind="balances"), Trigger.MANUAL)

    def cancel():
        TransferRun.objects.get(pk=run.pk).cancel(Actor("olga"))
        return True

    with run.task.lock():
        run.start()
        execute(run, run.task, stopped=go_on, others_wait=cancel)
    assert (run.state, run.gave_way) == (State.CANCELLED, False)
    other = order(slow)
    with other.task.lock():
        other.claim()
        execute(other, other.task, stopped=go_on, others_wait=lambda: True)
    other.cancel(Actor("olga"))
    other.refresh_from_db()
    assert (other.state, other.applied) == (State.CANCELLED, CHUNK_ROWS)


def test_a_run_gives_way_only_to_jobs_that_no_worker_is_free_for(
    receiver, slow, manage, own_database
):
    run = TransferRun.of(slow.tasks.get(kind="balances"), Trigger.MANUAL)
    order(slow, "cards")
    assert not run.others_wait()  # of the same server
    order(receiver)
    assert run.others_wait()
    DBTaskResult.objects.all().delete()
    free = manage("db_worker", "--interval=60")
    try:
        wait_until(lambda: is_idle(own_database), free)
        order(receiver, "cards")
        assert not run.others_wait()
        order(receiver, "pincodes")
        assert run.others_wait()
    finally:
        free.kill()
        free.communicate()
