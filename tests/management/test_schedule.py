import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone

from tests.databases import ROOT, connected, query, run, stage
from tests.waiting import wait_until
from transfer.engine.move.transfer import CHUNK_ROWS
from transfer.models import Heartbeat, TransferRun, TransferTask
from transfer.models.runs import State
from transfer.schedule import following_minute

pytestmark = pytest.mark.long

SERVER = "Бонусный сервер 8"


@pytest.mark.django_db(transaction=True)
def test_a_tick_moves_what_is_due_without_a_word(switched_on, shop_all, bonus, manage):
    stage(shop_all, "balances", [("4100", 5)])  # due since NOON
    tick = manage("run_due_tasks")
    assert tick.communicate() == ("", "")
    assert tick.returncode == 0
    assert query(bonus, "select account, amount from asset") == [("4100", 5)]


def test_the_scheduler_ticks_at_full_minutes_whatever_a_tick_takes():
    due = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    for took in (0.2, 59.9, 3.0):
        due = following_minute(due + timedelta(seconds=took))
        assert (due.second, due.microsecond) == (0, 0)
    assert due == datetime(2026, 7, 1, 12, 3, tzinfo=UTC)
    assert following_minute(due + timedelta(minutes=7, seconds=1)).minute == 11


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_scheduler_in_the_foreground_ends_after_the_chunk_under_way(
    switched_on, shop_all, bonus, manage, number
):
    stage_more_than_a_chunk(shop_all)
    with connected(bonus) as holder:
        holder.autocommit = False
        run(holder, "lock table asset in exclusive mode")
        scheduler = manage("run_scheduler")
        wait_until(lambda: holding_up(bonus), scheduler)
        scheduler.send_signal(number)
        assert "running" in scheduler.stdout.readline()
        assert "Ending after the current chunk" in scheduler.stdout.readline()
        assert scheduler.poll() is None
        holder.rollback()
    out, err = scheduler.communicate(timeout=30)
    assert scheduler.returncode == 0
    (unusual,) = [line for line in err.splitlines() if " INFO " not in line]
    assert "run ended: interrupted" in unusual
    assert "has ended" in out
    assert query(bonus, "select count(*) from asset") == [(CHUNK_ROWS,)]
    # Where its next time came meanwhile, that run was skipped.
    ended = switched_on.runs.exclude(state=State.SKIPPED).get()
    assert (ended.state, ended.applied, ended.waiting) == (State.INTERRUPTED, CHUNK_ROWS, 1)
    assert Heartbeat.last().source.endswith("run_scheduler")


FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed: apt-get install faketime")
@pytest.mark.django_db(transaction=True)
def test_the_scheduler_goes_on_when_the_clock_is_set_forward_and_back(
    switched_on, environment, tmp_path
):
    def ticked(ahead):
        beat = Heartbeat.objects.order_by("-at").first()
        wanted = timezone.now() + ahead
        return beat is not None and abs(beat.at - wanted) < timedelta(minutes=2)

    def planned(ahead):
        at = TransferTask.objects.get(pk=switched_on.pk).next_run_at
        return timedelta() < at - timezone.now() - ahead < timedelta(minutes=7)

    def set_clock(ahead):
        """At once, since it is read at any moment."""
        (tmp_path / "new").write_text(f"{ahead.total_seconds():+.0f}")
        (tmp_path / "new").rename(clock)

    clock = tmp_path / "clock"
    set_clock(timedelta())
    environment |= {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    scheduler = subprocess.Popen(
        [sys.executable, "manage.py", "run_scheduler", "--workers=0"],
        env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for ahead in (timedelta(), timedelta(hours=2), timedelta(), timedelta(hours=-2)):
            set_clock(ahead)
            wait_until(lambda ahead=ahead: ticked(ahead) and planned(ahead), scheduler, 120)
    finally:
        scheduler.kill()
        scheduler.communicate()


@pytest.mark.django_db(transaction=True)
def test_a_resident_worker_ends_after_the_chunk_under_way(task, shop_all, bonus, manage):
    stage_more_than_a_chunk(shop_all)
    call_command("task", "run", "balances")
    with connected(bonus) as holder:
        holder.autocommit = False
        run(holder, "lock table asset in exclusive mode")
        worker = manage("db_worker")
        wait_until(lambda: holding_up(bonus), worker)
        worker.send_signal(signal.SIGTERM)
        holder.rollback()
    worker.communicate(timeout=30)
    ended = TransferRun.objects.get()
    assert (ended.state, ended.applied, ended.waiting) == (State.INTERRUPTED, CHUNK_ROWS, 1)


def stage_more_than_a_chunk(shop_all):
    query(
        shop_all,
        'insert into "changeAccountBalanceTemp" (account, amount) '
        "select '4100', number from generate_series(1, %s) as number",
        [CHUNK_ROWS + 1],
    )


def holding_up(bonus):
    """Whether somebody waits for a lock in the bonus server's database."""
    waiting = (
        "select count(*) from pg_locks join pg_database on pg_database.oid = database "
        "where not granted and locktype = 'relation' and datname = current_database()"
    )
    return query(bonus, waiting) != [(0,)]


@pytest.mark.django_db(transaction=True)
def test_a_resident_worker_makes_run_now_immediate(task, shop_all, bonus, manage):
    stage(shop_all, "balances", [("4100", 5)])
    worker = manage("db_worker", "--interval=0.1")
    try:
        call_command("task", "run", "balances")
        began = timezone.now()
        wait_until(lambda: TransferRun.objects.good().exists(), worker)
        assert timezone.now() - began < timedelta(seconds=20)
    finally:
        worker.terminate()
        worker.communicate(timeout=30)


@pytest.mark.django_db(transaction=True)
def test_the_log_of_a_worker_says_what_its_run_does_and_the_mail_of_cron_does_not(
    task, shop_all, manage
):
    stage(shop_all, "balances", [("4100", 5)])
    call_command("task", "run", "balances")
    worker = manage("db_worker", "--interval=0.1")
    wait_until(lambda: TransferRun.objects.good().exists(), worker)
    worker.terminate()
    _out, errors = worker.communicate(timeout=30)
    number = TransferRun.objects.get().pk
    told = [line for line in errors.splitlines() if f" run={number} " in line]
    assert [line.split(": ")[1].split(" run=")[0] for line in told] == [
        "run begins",
        "append begins",
        "append ends",
        "chunk begins",
        "chunk ends",
        "run ended",
    ]
    stage(shop_all, "balances", [("4100", 6)])
    _out, errors = manage("transfer", "balances").communicate()
    # A run that takes longer says how far it is; the log says nothing.
    assert [line for line in errors.splitlines() if "rows/s" not in line] == []
