"""A run of a transfer, on real databases, beside those of other servers."""

import pytest
from django.core.management import call_command

from tests.databases import connected, query, run, stage
from tests.waiting import wait_until
from transfer.engine.move.prepare import prepare
from transfer.engine.shop_all.purge_lock import PURGE_LOCK
from transfer.models import FlowHour, TransferRun
from transfer.models.run_base import State, Trigger
from transfer.runs.execute import open_databases, run_here

WAITS_FOR_PURGES = """
    select count(*) from pg_locks
     where locktype = 'advisory' and not granted
       and database = (select oid from pg_database where datname = current_database())
"""


@pytest.mark.django_db(transaction=True)
def test_of_two_new_servers_that_start_at_once_neither_takes_the_other_for_itself(
    dock, bonus, second_bonus, shop_all, manage
):
    early = dock(bonus, decided=False)
    late = dock(second_bonus, name="Бонусный сервер 9", decided=False)
    task = early.tasks.get(kind="balances")
    with open_databases(task, "test") as (source, target):
        prepare(
            task.kind_spec, source, target, lambda: task.all_readers
        )  # and our database not told yet
    stage(shop_all, "balances", [("1", 10), ("2", 20)])
    with connected(shop_all) as purging:
        run(purging, "select pg_advisory_lock(%s)", [PURGE_LOCK])
        process = manage("transfer", "balances", "--server", str(late.pk))
        wait_until(lambda: query(shop_all, WAITS_FOR_PURGES) == [(1,)], process)
        run_here(task, Trigger.MANUAL)
        run(purging, "select pg_advisory_unlock(%s)", [PURGE_LOCK])
        output = process.communicate(timeout=60)
    assert "which of the staged rows it has received" in output[1]
    call_command("set_position", late.name, "balances", "--start")
    run_here(late.tasks.get(kind="balances"), Trigger.MANUAL)
    for database in (bonus, second_bonus):
        assert query(database, "select count(*), sum(amount) from asset") == [(2, 30)]


def test_a_page_that_asks_again_finds_the_connections_of_the_time_before(task):
    def asked(seconds: float | None) -> list[int]:
        with open_databases(task, "tests", seconds) as opened:
            return [one.database.value("select pg_backend_pid()") for one in opened]

    assert asked(3) == asked(3)
    assert not {*asked(None)} & {*asked(3)}


def counts(task):
    return [(run_.applied, run_.amount_applied) for run_ in task.runs.order_by("pk")]


@pytest.mark.django_db(transaction=True)
def test_a_run_keeps_its_counts_after_the_position_was_set_to_the_start(
    dock, bonus, shop_all, capsys
):
    server = dock(bonus)
    task = server.tasks.get(kind="balances")
    stage(shop_all, "balances", [("1", 10), ("2", 20)])
    run_here(task, Trigger.MANUAL)
    query(bonus, "delete from asset")
    call_command("set_position", server.name, "balances", "--start")
    run_here(task, Trigger.MANUAL)
    assert counts(task) == [(2, 30), (2, 30)]


@pytest.mark.django_db(transaction=True)
def test_a_run_keeps_its_counts_after_the_bonus_server_was_restored_to_before_it(
    dock, bonus, shop_all
):
    task = dock(bonus).tasks.get(kind="balances")
    stage(shop_all, "balances", [("1", 10)])
    run_here(task, Trigger.MANUAL)
    query(bonus, "create table copied as select * from datatransfer.position")
    stage(shop_all, "balances", [("2", 20), ("3", 30)])
    run_here(task, Trigger.MANUAL)
    query(
        bonus,
        "delete from asset where account in ('2', '3'); delete from datatransfer.position; "
        "insert into datatransfer.position select * from copied",
    )
    stopped = task.runs.first().position_to
    run_here(task, Trigger.MANUAL)
    assert counts(task) == [(1, 10), (2, 50), (2, 50)]
    assert task.runs.order_by("pk")[1].position_to == stopped


@pytest.mark.django_db(transaction=True)
def test_a_chunk_of_a_run_that_was_closed_meanwhile_is_counted_once(task, shop_all, bonus):
    """Its process had lost the task's lock, so another run began before the chunk landed."""

    def lose_the_lock(run):
        if run.chunks == 0 and not task.runs.filter(pk__gt=run.pk).exists():
            TransferRun.objects.get(pk=run.pk).finish(State.INTERRUPTED)
            run_here(task, Trigger.MANUAL)  # finds nothing to move
            stage(shop_all, "balances", [("1", 10), ("2", 20)])

    cut_off = run_here(task, Trigger.MANUAL, progress=lose_the_lock)
    assert cut_off.error_code == "run_taken_over"
    assert query(bonus, "select count(*), sum(amount) from asset") == [(2, 30)]
    run_here(task, Trigger.MANUAL)
    assert sorted(counts(task)) == [(0, 0), (0, 0), (2, 30)]
    assert FlowHour.objects.totals()[task.pk]["applied"] == 2
