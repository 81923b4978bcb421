"""Three databases, initialised, one bonus server docked, and the product's commands on them."""

import os
import subprocess
import sys
from typing import Any

from psycopg2.extensions import parse_dsn

from tests.databases import ROOT, as_url, query

SERVER = "chaos"
DATABASES = ("own", "shop_all", "bonus")


class Installation:
    def __init__(self, own: str, shop_all: str, bonus: str) -> None:
        self.tree = ROOT  # where the source of the product lies
        self.own = own
        self.shop_all = shop_all
        self.bonus = bonus
        self.environment = {
            **os.environ,
            "DATABASE_URL": as_url(own),
            "SHOP_ALL_DATABASE_URL": as_url(shop_all),
            "BONUSSERVER_DATABASE_URL": as_url(bonus),
            "DJANGO_SETTINGS_MODULE": "dtadmin.settings",
            "SECRET_KEY": "chaos",
            "DTADMIN_LANGUAGE": "en",
        }

    def set_up(self) -> None:
        self.manage("migrate", "--verbosity=0")
        self.manage("init_shop_all")
        self.run([sys.executable, "-m", "reference_bonus_server", "migrate", "--verbosity=0"])
        options = ("--name", SERVER, "--host", "localhost", "--database-url", as_url(self.bonus))
        self.manage("server", "add", *options)

    def move_in(self) -> None:
        """What was set up elsewhere and copied: the bonus server's database is where it is now."""
        place = parse_dsn(self.bonus)
        query(
            self.own,
            "update transfer_bonusserver set db_host = %s, db_port = %s, db_name = %s",
            [place["host"], place["port"], place["dbname"]],
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "manage.py", *arguments]

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """`manage.py …` as a process that goes on by itself."""
        return subprocess.Popen(
            self.command(*arguments), env=self.environment, cwd=self.tree, text=True, **options
        )

    def manage(self, *arguments: str) -> str:
        """Runs `manage.py …`, and returns what it printed."""
        return self.run(self.command(*arguments)).stdout

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, env=self.environment, cwd=self.tree, text=True, capture_output=True
        )
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done
