"""The reference bonus server as a process, and what a register asks it."""

import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.databases import ROOT, as_url


class Reference:
    """Its ports and its token, once it serves."""

    def __init__(self, dsn: str, environment: dict[str, str]) -> None:
        self.token = secrets.token_hex(16)
        self.environment = {
            **environment,
            "BONUSSERVER_DATABASE_URL": as_url(dsn),
            "BONUSSERVER_TOKEN": self.token,
        }
        self.ports: dict[str, int] = {}

    @contextmanager
    def serving(self) -> Iterator["Reference"]:
        process = subprocess.Popen(
            [sys.executable, "-m", "bonusserver", "serve", "--admin-port=0", "--work-port=0"],
            env=self.environment, cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdout
        try:
            lines = [process.stdout.readline() for _ in range(2)]
            words = (re.split(r"\s+", line)[:2] for line in lines)
            self.ports = {name: urlsplit(url).port or 0 for name, url in words}
            yield self
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()

    def register(self, name: str) -> httpx.Client:
        """A register that has been given an account, at the work port."""
        made = httpx.post(
            f"http://127.0.0.1:{self.ports['admin']}/accounts",
            headers={"Authorization": f"Bearer {self.token}"},
            json={"register": name, "shop": "s1", "name": name},
        )
        made.raise_for_status()
        given: dict[str, Any] = made.json()
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.ports['work']}",
            auth=(given["login"], given["secret"]),
        )
