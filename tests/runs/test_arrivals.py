"""Tasks that run as rows arrive: when a run begins, and when none does."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from tests.databases import connected, insert, query, run as statement, stage
from tests.waiting import go_on, wait_until
from transfer.engine.move.transfer import CHUNK_ROWS
from transfer.engine.postgres.pool import _pool
from transfer.errors import ShopAllWentBack
from transfer.models import Actor, FlowHour, TransferRun
from transfer.models.run_base import State, Trigger
from transfer.runs.arrivals import Glances, LagFinder, Moves, move_arrived
from transfer.runs.execute import run_here
from transfer.text.schedule import AS_ROWS_ARRIVE
from transfer.tick import tick

pytestmark = pytest.mark.django_db(transaction=True)

# Of those of these sessions that the database has.
NAMES_OF = """
    select application_name from pg_stat_activity
     where datname = current_database() and pid = any(%s)
"""


@pytest.fixture
def task(receiver, shop_all):
    """Balance changes, which run as rows arrive and have run once."""
    task = receiver.tasks.get(kind="balances")
    task.switch(True, Actor("ivan"))
    task.reschedule(AS_ROWS_ARRIVE, Actor("ivan"))
    stage(shop_all, "balances", [("4100", 1)])
    run_here(task, Trigger.MANUAL)
    return task


def look(looked=None):
    return [task.kind for task in (looked or LagFinder()).lagging()]


def written_in(shop_all):
    """Which transactions have written the log of shop All and what is known of its end."""
    return [
        query(shop_all, f"select xmin::text from datatransfer.{table} order by 1")
        for table in ("log", "head")
    ]


def opens(task, now):
    """Whether a tick at this time opens a run of the task, whose time has come."""
    type(task).objects.filter(pk=task.pk).update(next_run_at=now)
    before = task.runs.count()
    tick("test", now)
    return task.runs.count() > before


def amounts(bonus):
    return [int(amount) for (amount,) in query(bonus, "select amount from asset order by amount")]


def test_a_look_at_nothing_new_opens_no_run_and_writes_nothing(task, shop_all):
    look()
    written = written_in(shop_all)
    looked = LagFinder()
    assert look(looked) == look(looked) == []
    assert written_in(shop_all) == written
    assert task.runs.count() == 1


def test_a_committed_row_is_found_and_moved(task, shop_all, bonus):
    looked = LagFinder()
    assert look(looked) == []
    stage(shop_all, "balances", [("4100", 5)])
    (lagging,) = looked.lagging()
    move_arrived(lagging, go_on)
    assert amounts(bonus) == [1, 5]
    latest = task.runs.order_by("pk").last()
    assert (latest.trigger, latest.state, latest.read) == (Trigger.ARRIVAL, State.SUCCEEDED, 1)
    assert look(looked) == []


def test_the_next_run_goes_through_the_connections_of_the_one_before(task, shop_all, bonus):
    sessions = []
    for amount in (5, 6):
        stage(shop_all, "balances", [("4100", amount)])
        move_arrived(task, go_on)
        sessions.append({kept.info.backend_pid for kept in kept_connections()})
    assert sessions[0] == sessions[1]
    assert len(sessions[0]) == 2
    assert [query(dsn, NAMES_OF, [[*sessions[0]]]) for dsn in (shop_all, bonus)] == [
        [("dtadmin idle",)],
        [("dtadmin idle",)],
    ]
    assert amounts(bonus) == [1, 5, 6]


def test_of_several_tasks_one_thread_moves_one_after_the_other(task, shop_all, bonus):
    stage(shop_all, "balances", [("4100", 5)])
    before = sessions_of_ours()
    with ThreadPoolExecutor(1) as workers:
        moves = Moves(workers, go_on)
        moves.add(task)
    assert amounts(bonus) == [1, 5]
    assert moves.open() == set()
    wait_until(lambda: sessions_of_ours() == before)  # the server ends the session in its own time


def test_what_waits_when_the_process_has_to_end_is_left_to_the_next(task, shop_all, bonus):
    stage(shop_all, "balances", [("4100", 5)])
    with ThreadPoolExecutor(1) as workers:
        Moves(workers, lambda: 1).add(task)
    assert amounts(bonus) == [1]
    assert look() == ["balances"]


@pytest.mark.long
def test_a_run_gives_way_to_the_tasks_of_other_servers_that_wait_for_its_thread(
    task, shop_all, bonus, dock, second_bonus
):
    other = dock(second_bonus, "second").tasks.get(kind="balances")
    query(
        shop_all,
        'insert into "changeAccountBalanceTemp" (account, amount) '
        "select number::text, 5 from generate_series(1, %s) as number",
        [2 * CHUNK_ROWS],
    )
    with connected(bonus) as holder, ThreadPoolExecutor(1) as workers:
        holder.autocommit = False
        statement(holder, "lock asset in exclusive mode")
        moves = Moves(workers, go_on)
        moves.add(task)
        wait_until(lambda: task.runs.running().exclude(expected=0).exists())
        moves.add(other)
        holder.rollback()
    long, after = task.runs.first(), other.runs.get()
    assert long.started_at < after.started_at < long.finished_at  # by one thread
    assert (long.state, long.trigger) == (State.SUCCEEDED, Trigger.ARRIVAL)
    assert (long.applied, after.applied) == (2 * CHUNK_ROWS, 2 * CHUNK_ROWS + 1)
    assert moves.open() == set()


def sessions_of_ours():
    """How many sessions our own database has."""
    with connection.cursor() as cursor:
        cursor.execute("select count(*) from pg_stat_activity where datname = current_database()")
        return cursor.fetchone()[0]


def test_only_the_tasks_of_the_kind_that_has_new_rows_lag(task, shop_all, receiver):
    cards = receiver.tasks.get(kind="cards")
    cards.switch(True, Actor("ivan"))
    cards.reschedule(AS_ROWS_ARRIVE, Actor("ivan"))
    run_here(cards, Trigger.MANUAL)
    stage(shop_all, "balances", [("4100", 5)])
    assert look() == ["balances"]


def test_a_row_of_a_writer_that_was_open_at_the_last_look_is_found_when_it_commits(task, shop_all):
    looked = LagFinder()
    with connected(shop_all) as late:
        statement(late, "begin")
        insert(late, "balances", [("4100", 7)])
        stage(shop_all, "cards", [("1", "4100", 1)])  # a later transaction has ended
        assert look(looked) == look(looked) == []
        statement(late, "commit")
    assert look(looked) == ["balances"]


def test_rows_that_are_rolled_back_open_no_run(task, shop_all):
    looked = LagFinder()
    with connected(shop_all) as late:
        statement(late, "begin")
        insert(late, "balances", [("4100", 7)])
        assert look(looked) == []
        statement(late, "rollback")
    assert look(looked) == []


def test_rows_that_keep_coming_within_a_minute_count_for_one_run(task, shop_all, bonus):
    for amount in (5, 6, 7):
        stage(shop_all, "balances", [("4100", amount)])
        move_arrived(task, go_on)
    assert amounts(bonus) == [1, 5, 6, 7]
    (arrived,) = task.runs.filter(trigger=Trigger.ARRIVAL)
    assert (arrived.read, arrived.expected, arrived.chunks, arrived.waiting) == (3, 3, 3, 0)
    assert arrived.state == State.SUCCEEDED
    assert arrived.amount_applied == 18
    earlier = task.runs.get(trigger=Trigger.MANUAL)
    assert (earlier.read, earlier.amount_applied) == (1, 1)
    assert FlowHour.objects.totals()[task.pk]["applied"] == 4


def test_a_minute_later_rows_count_for_a_new_run(task, shop_all):
    stage(shop_all, "balances", [("4100", 5)])
    move_arrived(task, go_on)
    long_ago = timezone.now() - timedelta(seconds=61)
    TransferRun.objects.update(started_at=long_ago)
    stage(shop_all, "balances", [("4100", 6)])
    move_arrived(task, go_on)
    read = task.runs.filter(trigger=Trigger.ARRIVAL).order_by("pk").values_list("read", flat=True)
    assert [*read] == [1, 1]


def test_a_run_that_is_opened_again_counts_rows_that_landed_uncounted(task, shop_all, flow):
    stage(shop_all, "balances", [("4100", 5)])
    move_arrived(task, go_on)
    cut_off = flow("balances")
    cut_off.stage(("4100", 6))
    cut_off.move()
    stage(shop_all, "balances", [("4100", 7)])
    move_arrived(task, go_on)
    (arrived,) = task.runs.filter(trigger=Trigger.ARRIVAL)
    assert (arrived.read, arrived.amount_applied) == (3, 18)
    assert FlowHour.objects.totals()[task.pk]["applied"] == 4


def test_a_run_that_was_cancelled_is_not_opened_again(task, shop_all):
    stage(shop_all, "balances", [("4100", 5)])
    move_arrived(task, go_on)
    task.runs.update(cancel_requested_at=timezone.now())
    stage(shop_all, "balances", [("4100", 6)])
    move_arrived(task, go_on)
    assert task.runs.filter(trigger=Trigger.ARRIVAL).count() == 2


@pytest.mark.parametrize("change", ["off", "paused", "by the minute", "failing", "run open"])
def test_nothing_is_looked_for(task, shop_all, change):
    stage(shop_all, "balances", [("4100", 5)])
    assert look() == ["balances"]
    actor = Actor("ivan")
    match change:
        case "off":
            task.switch(False, actor)
        case "paused":
            task.pause(timezone.now() + timedelta(hours=1), actor)
        case "by the minute":
            task.reschedule("* * * * *", actor)
        case "failing":
            task.note_failure(timezone.now())
        case "run open":
            TransferRun.of(task, Trigger.MANUAL).save()
    assert look() == []


def test_a_failed_run_is_left_to_the_tick_which_waits_for_the_retry(task, shop_all, bonus):
    with connected(bonus) as vendor:
        statement(vendor, "alter table asset rename to asset_of_before")
    stage(shop_all, "balances", [("4100", 5)])
    (lagging,) = LagFinder().lagging()
    move_arrived(lagging, go_on)
    task.refresh_from_db()
    assert (task.failures, look()) == (1, [])
    failed = task.runs.order_by("pk").last()
    assert task.retry_at - failed.finished_at == timedelta(minutes=1)
    soon, later = task.retry_at - timedelta(seconds=1), task.retry_at + timedelta(seconds=1)
    assert not opens(task, soon)
    assert opens(task, later)


def test_the_tick_opens_no_run_while_somebody_looks(task, shop_all):
    LagFinder().lagging()
    task.refresh_from_db()
    assert task.looked_at is not None
    soon = timezone.now() + timedelta(seconds=30)
    assert not opens(task, soon)
    task.refresh_from_db()
    assert task.next_run_at > soon


def test_the_tick_opens_a_run_by_schedule_every_minute_when_no_process_looks(task):
    soon = timezone.now() + timedelta(seconds=30)
    assert opens(task, soon)
    assert task.runs.order_by("pk").last().trigger == Trigger.SCHEDULE


def test_the_tick_opens_a_run_now_and_then_although_nothing_arrives(task):
    LagFinder().lagging()
    later = timezone.now() + timedelta(minutes=16)
    type(task).objects.update(looked_at=later)
    assert opens(task, later)


def test_a_shop_all_that_has_gone_back_is_left_to_the_run_of_the_tick(task, shop_all, copies):
    copies.make(shop_all, "early")
    stage(shop_all, "balances", [("4100", 2)])
    run_here(task, Trigger.MANUAL)
    copies.restore(shop_all, "early")
    with pytest.raises(ShopAllWentBack):
        look()
    assert opens(task, timezone.now() + timedelta(minutes=2))


def test_another_shop_all_is_given_to_a_run_to_find_out(task, shop_all):
    run = task.runs.get()
    other = {**run.position_to, "origin": "00000000-0000-4000-8000-000000000000"}
    task.runs.update(position_to=other)
    assert look() == ["balances"]


@pytest.mark.long
@pytest.mark.parametrize("command", [["db_worker"], ["run_scheduler"]], ids=lambda c: c[0])
def test_a_resident_process_moves_rows_as_they_arrive(task, shop_all, bonus, manage, command):
    # The tick of run_scheduler may come before its first look: then it opens a run by schedule.
    type(task).objects.update(next_run_at=timezone.now() + timedelta(hours=1))
    process = manage(*command)
    try:
        wait_until(lambda: type(task).objects.filter(looked_at__isnull=False).exists(), process)
        stage(shop_all, "balances", [("4100", 5)])
        wait_until(lambda: amounts(bonus) == [1, 5], process)
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert [*task.runs.values_list("trigger", flat=True)] == [Trigger.ARRIVAL, Trigger.MANUAL]


@pytest.mark.long
def test_of_two_processes_one_looks(task, shop_all, bonus, manage):
    processes = [manage("db_worker"), manage("db_worker")]
    try:
        stage(shop_all, "balances", [("4100", 5)])
        wait_until(lambda: amounts(bonus) == [1, 5])
        stage(shop_all, "balances", [("4100", 6)])
        wait_until(lambda: amounts(bonus) == [1, 5, 6])
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.communicate(timeout=60)
    assert amounts(bonus) == [1, 5, 6]


def kept_connections():
    return [kept for connections in _pool.values() for _since, kept in connections]


@pytest.fixture(autouse=True)
def no_connections_of_others():
    """A database that is dropped after a test must not be open in the pool."""
    close_all()
    yield
    close_all()


def close_all():
    for kept in kept_connections():
        kept.close()
    _pool.clear()


def test_a_glance_sees_that_something_was_committed_and_not_what_is_open(shop_all):
    with connected(shop_all) as writer, Glances() as glances:
        writer.autocommit = False
        insert(writer, "balances", [("4100", 1)])
        glances.note()
        writer.commit()
        assert glances.has_changed()
        glances.note()
        wait_until(lambda: unchanged_between_two(glances))


def unchanged_between_two(glances):
    """As soon as no other test writes to the same server."""
    glances.note()
    return not glances.has_changed()


def test_a_glance_at_a_server_that_does_not_answer_sees_no_change_and_goes_on_later(
    shop_all, settings
):
    with Glances() as glances:
        settings.SHOP_ALL_DATABASE_URL = f"{shop_all} port=1"
        glances.note()
        assert not glances.has_changed()
        settings.SHOP_ALL_DATABASE_URL = shop_all
        assert glances.has_changed()
