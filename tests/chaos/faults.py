"""What goes wrong: processes are killed, back-ends are ended, the server crashes and recovers."""

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from subprocess import DEVNULL, PIPE, STDOUT

import psycopg2

from tests.chaos.cluster import Cluster
from tests.chaos.writers import PATIENCE

RUNNING = "application_name like 'dtadmin run %%'"


class Competitor(threading.Thread):
    """Starts a command again and again: `manage.py transfer`, of which two compete for every row.

    With `resident`, this command instead, which goes on and moves rows as they arrive.
    """

    def __init__(
        self, cluster: Cluster, number: int, stop: threading.Event, resident: str = ""
    ) -> None:
        super().__init__(name=f"competitor {number}", daemon=True)
        self.resident = resident
        self.cluster = cluster
        self.stop = stop
        self.chance = random.Random(number)
        self.process = None
        self.exits: Counter[int] = Counter()
        self.told: list[str] = []

    def end(self) -> None:
        """Asks the transfer under way to stop after its chunk, and waits for it."""
        while self.is_alive():
            if self.process is not None and self.process.poll() is None:
                self.process.terminate()
            self.join(0.5)

    def run(self) -> None:
        while not self.stop.is_set():
            if self.resident:  # it logs the faults that it survives
                self.process = self.cluster.start(self.resident, stdout=DEVNULL, stderr=DEVNULL)
            else:
                self.process = self.cluster.start(*self.transfer(), stdout=PIPE, stderr=STDOUT)
            told, _ = self.process.communicate()
            self.told.append(told or "")
            self.exits[self.process.returncode] += 1

    def transfer(self) -> list[str]:
        kind = self.chance.choice(["balances", "balances", "pincodes", "cards", "all"])
        chunk = str(self.chance.choice([100, 500, 1500]))
        return ["transfer", kind, "--chunk", chunk, "--json"]


class Faults:
    """Done one at a time, while a transfer is under way."""

    def __init__(self, cluster: Cluster, competitors: list[Competitor]) -> None:
        self.cluster = cluster
        self.competitors = competitors
        self.chance = random.Random(4477)
        self.done: Counter[str] = Counter()
        self.sorts = [
            *[("killed processes", self.kill_a_process)] * 10,
            *[("ended source back-ends", lambda: self.end_a_back_end("shop_all"))] * 5,
            *[("ended target back-ends", lambda: self.end_a_back_end("bonus"))] * 5,
            *[("ended back-ends of the own database", lambda: self.end_a_back_end("own"))] * 2,
            *[("crash restarts", self.crash_the_server)] * 2,
        ]

    def cause(self) -> None:
        """One fault at random, at a random moment of a transfer; each sort once at first."""
        with suppress(psycopg2.Error), closing(self.connect()) as admin:
            if not self.is_under_way(admin):
                return
            time.sleep(self.chance.random() / 5)  # not a wait: the moment is what is random
            sort, act = self.chance.choice(self.unseen() or self.sorts)
            self.done[sort] += act() or 0

    def unseen(self):
        """The sorts that have not happened yet."""
        return [one for one in self.sorts if not self.done[one[0]]]

    def connect(self):
        """A connection to the server, as soon as it is up."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                connection = psycopg2.connect(self.cluster.database_of_server)
            except psycopg2.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                connection.autocommit = True
                return connection

    def is_under_way(self, admin) -> bool:
        with admin.cursor() as cursor:
            cursor.execute(f"select from pg_stat_activity where {RUNNING}")
            return cursor.rowcount > 0

    def kill_a_process(self) -> int:
        process = self.chance.choice(self.competitors).process
        if process is None or process.poll() is not None:
            return 0
        process.kill()
        return 1

    def end_a_back_end(self, database: str) -> int:
        whose = "application_name = 'dtadmin'" if database == "own" else RUNNING
        with closing(self.connect()) as admin, admin.cursor() as cursor:
            cursor.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                f"where datname = %s and {whose} order by random() limit 1",
                [database],
            )
            return cursor.rowcount

    def crash_the_server(self) -> int:
        """A back-end dies of SIGKILL: the postmaster throws all out and recovers from the log."""
        with closing(self.connect()) as admin, admin.cursor() as cursor:
            cursor.execute(f"select pid from pg_stat_activity where {RUNNING} limit 1")
            found = cursor.fetchall()
        if not found:
            return 0
        with suppress(ProcessLookupError):
            os.kill(found[0][0], signal.SIGKILL)
        self.connect().close()
        return 1
