"""What maintenance removes, and how it ends early."""

import signal
from datetime import timedelta

import pytest
from django.utils import timezone

from tests.databases import query, stage
from tests.restores import age
from tests.waiting import go_on
from transfer.engine.kinds import KINDS
from transfer.models import MaintenanceRun, MaintenanceTask, TransferRun
from transfer.models.run_base import Trigger
from transfer.models.runs import State
from transfer.queue.worker import drain
from transfer.runs import execute
from transfer.runs.maintenance import execute_maintenance
from transfer.runs.start import run_now

pytestmark = pytest.mark.django_db(transaction=True)


def test_maintenance_purges_what_ended_long_ago_and_keeps_what_is_needed(task, ivan):
    old = timezone.now() - timedelta(days=200)
    needed = {}
    for name, state in [
        ("gone", "succeeded"),
        ("kept", "failed"),
        ("success", "succeeded"),
        ("skipped", "skipped"),
        ("last", "failed"),
    ]:
        needed[name] = TransferRun.of(task, Trigger.SCHEDULE)
        needed[name].state, needed[name].finished_at = state, old
        needed[name].save()
    TransferRun.objects.filter(pk=needed["last"].pk).update(finished_at=old - timedelta(days=1000))
    purge = MaintenanceTask.objects.get(kind="purge_history")
    run_now(purge, ivan)
    drain(go_on)
    run = MaintenanceRun.objects.get()
    assert (run.state, run.report["runs"]) == (State.SUCCEEDED, 2)
    left = set(TransferRun.objects.values_list("pk", flat=True))
    assert left == {needed[name].pk for name in ("kept", "success", "last")}


def test_a_purge_ends_the_lifetimes_of_lines_and_of_what_servers_note_of_them(task, ivan, shop_all):
    """Of a log whose rows are purged, the last line stays: the server stands there."""
    for account in ("4100", "4200", "4300"):
        stage(shop_all, "balances", [(account, 5)])
    execute.run_here(task, Trigger.MANUAL)
    age(shop_all, days=100)
    query(task.server.dsn, "update datatransfer.receipt set at = at - interval '100 days'")
    run_now(MaintenanceTask.objects.get(kind="purge_staging"), ivan)
    drain(go_on)
    run = MaintenanceRun.objects.get()
    assert run.state == State.SUCCEEDED
    assert run.report["changeAccountBalanceTemp"] == {"rows": 3, "lines": 2}
    log = query(shop_all, "select number, rows, rows_to from datatransfer.log")
    assert log == [(3, 1, 3)]
    named = "select coalesce(sum(cardinality(changesets)), 0)::int from datatransfer.receipt"
    assert query(task.server.dsn, named) == [(0,)]
    stage(shop_all, "balances", [("4400", 5)])
    moved = execute.run_here(task, Trigger.MANUAL)
    assert (moved.error_code, moved.applied) == ("", 1)


def cancel(run, ivan):
    run.cancel(ivan)
    return go_on


def stop_the_worker(_run, _ivan):
    return lambda: signal.SIGTERM


@pytest.mark.parametrize(
    ("end", "state"), [(cancel, State.CANCELLED), (stop_the_worker, State.INTERRUPTED)]
)
def test_maintenance_that_shall_end_does_so_after_the_step_under_way(
    server, ivan, shop_all, end, state
):
    """What it has done by then stays done, and the next run does the rest."""
    for kind, row in [("balances", ("1", 5)), ("pincodes", ("1", "2")), ("cards", ("1", "2", 1))]:
        stage(shop_all, kind, [row])
        execute.run_here(server.tasks.get(kind=kind), Trigger.MANUAL)
        age(shop_all, kind)
    run = run_now(MaintenanceTask.objects.get(kind="purge_staging"), ivan)
    run.claim()
    execute_maintenance(run, end(run, ivan))
    (done,) = run.report
    left = [
        kind.staging
        for kind in KINDS.values()
        if query(shop_all, f'select count(*) from "{kind.staging}"') == [(1,)]
    ]
    run.refresh_from_db()
    assert run.state == state
    assert len(left) == 2
    assert done not in left


def test_a_dry_run_of_maintenance_removes_nothing(task, ivan, shop_all):
    stage(shop_all, "balances", [("4100", 5)])
    execute.run_here(task, Trigger.MANUAL)
    age(shop_all)
    for kind in ("purge_staging", "purge_history"):
        run_now(MaintenanceTask.objects.get(kind=kind), ivan, dry_run=True)
    drain(go_on)
    history, staging = MaintenanceRun.objects.order_by("kind")
    assert (staging.state, staging.report["changeAccountBalanceTemp"]) == ("succeeded", {"rows": 1})
    assert (history.state, history.dry_run) == ("succeeded", True)
    assert query(shop_all, 'select count(*) from "changeAccountBalanceTemp"') == [(1,)]
