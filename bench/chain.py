"""A large chain: many registers in many shops, and several reference bonus servers, docked."""

import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

from bench.peak import MARK
from tests.chaos.cluster import Cluster
from tests.databases import ROOT, query

REGISTERS_A_SHOP = 5
# Most of the registers called a moment ago, some yesterday, some never; a few are blocked.
ACCOUNTS = """
    insert into register_account (register, shop, name, login, secret_digest, last_seen, blocked)
    select 'r' || n, 's' || n / %s, 'Касса ' || n, 'login' || n, '',
           case when n %% 20 = 0 then null when n %% 10 = 0 then now() - interval '1 day'
                else now() end,
           n %% 100 = 1
      from generate_series(0, %s - 1) as n
"""


class Chain:
    """The databases of `cluster` filled in; Django has been set up on them."""

    def __init__(self, cluster: Cluster, registers: int, servers: int) -> None:
        self.cluster, self.registers = cluster, registers
        self.databases = [cluster.database(f"bonus_{n}") for n in range(servers)]
        self.token = secrets.token_hex(16)
        self.servers: list[Any] = []
        self.opened = ExitStack()

    def open(self) -> None:
        """Shops, registers, and the servers in place of the one that the cluster has docked."""
        from transfer.models import BonusServer, CashRegister, Shop

        BonusServer.objects.all().delete()
        shops = Shop.objects.bulk_create(
            [Shop(code=f"s{n}") for n in range(self.registers // REGISTERS_A_SHOP + 1)]
        )
        CashRegister.objects.bulk_create(
            [
                CashRegister(code=f"r{n}", name=f"Касса {n}", shop=shops[n // REGISTERS_A_SHOP])
                for n in range(self.registers)
            ]
        )
        for number, database in enumerate(self.databases):
            self.dock(number, database)

    def dock(self, number: int, database: str) -> None:
        """A reference server as a process of its own, and its row."""
        from transfer.management.commands.add_bonus_server import database_fields
        from transfer.models import BonusServer

        environment = {
            **self.cluster.environment,
            "BONUSSERVER_DATABASE_URL": database,
            "BONUSSERVER_TOKEN": self.token,
        }
        command = [sys.executable, "-m", "bonusserver"]
        subprocess.run(
            [*command, "migrate", "--verbosity=0"], env=environment, cwd=ROOT, check=True
        )
        ports = self.opened.enter_context(
            serving([*command, "serve", "--admin-port=0", "--work-port=0"], environment)
        )
        server = BonusServer(
            name=f"Бонусный сервер {number}",
            host="127.0.0.1",
            admin_port=ports["admin"],
            work_port=ports["work"],
            api_token=self.token,
            **database_fields(database),
        )
        server.dock()
        self.servers.append(server)

    def give_accounts(self) -> None:
        """All servers but the first get an account of every register, past the product."""
        for database in self.databases[1:]:
            query(database, ACCOUNTS, [REGISTERS_A_SHOP, self.registers])

    def work_off_the_queue(self) -> float:
        """`manage.py db_worker` until the queue is empty; returns its peak memory in MB."""
        command = self.cluster.command("db_worker", "--batch", "--verbosity=0")
        done = self.cluster.run([sys.executable, "-m", "bench.peak", *command])
        return int(done.stderr.partition(MARK)[2]) / 1024

    def close(self) -> None:
        self.opened.close()


@contextmanager
def serving(command: list[str], environment: dict[str, Any]) -> Iterator[dict[str, int]]:
    """Yields the ports of both."""
    process = subprocess.Popen(
        command, env=environment, cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout
    try:
        lines = [process.stdout.readline() for _ in range(2)]
        found = (re.split(r"\s+", line)[:2] for line in lines)
        yield {name: urlsplit(url).port or 0 for name, url in found}
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
