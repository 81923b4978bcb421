"""The product on several machines: a network namespace each, on a cable of its own to one switch.

The databases are at addresses of the switch itself.
"""

import os
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.chaos.exact import assert_exact
from tests.chaos.instance import Instance
from tests.chaos.product import SERVERS, Product
from tests.databases import as_url, query
from tests.waiting import wait_until
from transfer.engine.kinds import KINDS

SWITCH = "dtswitch"
NETWORK = "10.77.91."
DATABASES = {"own": 1, "shop_all": 2, "bonus_8": 3, "bonus_9": 4}
MACHINES = {"web": 11, "worker 1": 12, "worker 2": 13, "tick": 14, "tick 2": 15}
NAMES = {f"{NETWORK}{number}": name for name, number in MACHINES.items()}
PATIENCE = 400  # seconds

# A chunk of balances stands still before its first row, for as long as a test wants.
GATE = """
    create table gate (closed boolean not null);
    insert into gate values (false);
    create function wait_at_gate() returns trigger language plpgsql as $$ begin
        while (select closed from gate) loop perform pg_sleep(0.05); end loop;
        return null;
    end $$;
    create trigger gate before insert on asset for each statement execute function wait_at_gate();
"""
AT_GATE = """
    select substring(application_name from '[0-9]+$')::int, host(client_addr) from pg_stat_activity
     where application_name like 'dtadmin run %' and wait_event = 'PgSleep'
"""


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def why_not() -> str:
    """Why there can be no machines here; empty if there can."""
    if os.getuid() or not shutil.which("ip"):
        return "network namespaces need root and iproute2"
    if "CHAOS_SECONDS" not in os.environ:
        return "takes a quarter of an hour: make chaos"
    made = subprocess.run(["ip", "netns", "add", "dt-probe"], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", "dt-probe"], capture_output=True)
    return made.stderr.strip()


WHY_NOT = why_not()


class Network:
    def __enter__(self) -> Self:
        self.__exit__()
        ip("link", "add", SWITCH, "type", "bridge")
        for number in DATABASES.values():
            ip("address", "add", f"{NETWORK}{number}/24", "dev", SWITCH)
        ip("link", "set", SWITCH, "up")
        for number in MACHINES.values():
            space, port = f"dt-{number}", f"dtport{number}"
            ip("netns", "add", space)
            ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", space)
            ip("link", "set", port, "master", SWITCH, "up")
            ip("-n", space, "address", "add", f"{NETWORK}{number}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                ip("-n", space, "link", "set", device, "up")
        return self

    def __exit__(self, *_: object) -> None:
        """Also what a test has left that was killed."""
        for number in MACHINES.values():
            subprocess.run(["ip", "link", "del", f"dtport{number}"], capture_output=True)
            subprocess.run(["ip", "netns", "del", f"dt-{number}"], capture_output=True)
        subprocess.run(["ip", "link", "del", SWITCH], capture_output=True)

    def cut(self, machine: str) -> None:
        """Pulls its cable out of the switch: packets get lost, and no connection is closed."""
        ip("link", "set", f"dtport{MACHINES[machine]}", "down")

    def plug_in(self, machine: str) -> None:
        ip("link", "set", f"dtport{MACHINES[machine]}", "up")

    def hide(self, database: str, machine: str) -> None:
        """The machine reaches this database no more, and all others as before."""
        self._route("add", database, machine)

    def show(self, database: str, machine: str) -> None:
        self._route("del", database, machine)

    def _route(self, how: str, database: str, machine: str) -> None:
        place = f"{NETWORK}{DATABASES[database]}/32"
        ip("-n", f"dt-{MACHINES[machine]}", "route", how, "blackhole", place)


class Machines(Product):
    ticks_by = ("tick", "tick 2")

    def __init__(self, home: Path, ends: ExitStack) -> None:
        self.network = ends.enter_context(Network())
        super().__init__(home, ends)
        self.environment["ALLOWED_HOSTS"] = f"{NETWORK}{MACHINES['web']}"

    def _instance(self, name: str) -> Instance:
        instance = super()._instance(name)
        instance.listen(f"{NETWORK}{DATABASES[name]}", f"{NETWORK}0/24")
        return instance

    @property
    def address(self) -> str:
        return f"http://{NETWORK}{MACHINES['web']}:{self.port}"

    def way_to_the_second(self) -> str:
        return as_url(self.bonuses[SERVERS[1]])

    def services(self) -> dict[str, list[str]]:
        query(self.bonuses[SERVERS[0]], GATE)
        return self.pages_and_workers("0.0.0.0")

    def place(self, name: str) -> list[str]:
        """A name of its own, and a network of its own."""
        named = ["sh", "-c", 'hostname "$0" && exec "$@"', name.replace(" ", "-")]
        return ["ip", "netns", "exec", f"dt-{MACHINES[name]}", "unshare", "--uts", *named]

    def gate(self, *, closed: bool) -> None:
        query(self.bonuses[SERVERS[0]], "update gate set closed = %s", [closed])

    def hold_a_run(self, rows: int = 5000) -> tuple[int, str]:
        """Stages rows, and lets their run wait in mid-chunk: its number, and its machine."""
        self.gate(closed=True)
        self.write(rows)
        return self.at_gate()

    def at_gate(self) -> tuple[int, str]:
        """The run that waits there, as soon as one does, and its machine."""
        waits: list[tuple[int, str]] = []
        look = lambda: waits.extend(query(self.bonuses[SERVERS[0]], AT_GATE)) or waits  # noqa: E731
        wait_until(look, seconds=PATIENCE)
        run, address = waits[0]
        return run, NAMES[address]

    def workers_seen(self) -> set[str]:
        """Machines of whose workers our own database has a session."""
        sessions = query(
            self.own,
            "select distinct host(client_addr) from pg_stat_activity "
            "where application_name = 'dtadmin db_worker'",
        )
        return {NAMES[address] for (address,) in sessions}

    def assert_exact(self) -> None:
        """Once all has arrived. The history's sums are the position's: no row was counted twice."""
        wait_until(self.everything_has_arrived, seconds=PATIENCE)
        for server, dsn in self.bonuses.items():
            for kind in KINDS:
                assert_exact(self.own, self.shop_all, dsn, server, kind)

    def state(self, run: int) -> str:
        return query(self.own, "select state from transfer_transferrun where id = %s", [run])[0][0]

    def runs_since(self, run: int, condition: str) -> int:
        """How many later runs of the same task there are, of a condition."""
        ((count,),) = query(
            self.own,
            "select count(*) from transfer_transferrun as later join transfer_transferrun as run "
            f"using (task_id) where run.id = %s and later.id > run.id and later.{condition}",
            [run],
        )
        return count
