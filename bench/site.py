"""The pages, served as the paper on installation deploys them, and browsers that are logged in."""

import re
import secrets
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from bench.ground import Installation
from bench.latency import wait_until
from dtadmin.demo.processes import free_port
from tests.databases import ROOT

COMMAND = re.compile(r"`(gunicorn [^`]+)`")
LISTENING = "127.0.0.1:8000"  # in that paper
USER = "bench"
AT_MOST = 300  # seconds for one answer


class Site:
    def __init__(self, address: str, password: str) -> None:
        self.address, self.password = address, password

    def browser(self) -> httpx2.Client:
        """Logged in as an administrator."""
        client = httpx2.Client(
            base_url=self.address, timeout=AT_MOST, follow_redirects=True,
            headers={"Accept-Encoding": "gzip, deflate"},
        )  # fmt: skip
        client.get("/login/").raise_for_status()
        login = {"username": USER, "password": self.password}
        token = client.cookies["csrftoken"]
        done = client.post("/login/", data={**login, "csrfmiddlewaretoken": token})
        assert done.status_code == 200, done.status_code
        assert done.url.path != "/login/", "the log-in was refused"
        return client


def deployed(port: int) -> list[str]:
    """The paper's command, on another port."""
    match = COMMAND.search((ROOT / "docs/en/installation.md").read_text())
    assert match, "the paper no longer says how the pages are served"
    program, *words = shlex.split(match[1].replace(LISTENING, f"127.0.0.1:{port}"))
    assert any(str(port) in word for word in words), f"the paper no longer names {LISTENING}"
    return [str(Path(sys.executable).with_name(program)), *words]


def administrator(at: Installation) -> str:
    """Makes one; returns the password."""
    password = secrets.token_urlsafe(16)
    at.manage(
        "createsuperuser", "--noinput", "--username", USER, "--email", "bench@example.org",
        DJANGO_SUPERUSER_PASSWORD=password,
    )  # fmt: skip
    return password


@contextmanager
def served(at: Installation) -> Iterator[Site]:
    password = administrator(at)
    port = free_port(0)
    process = subprocess.Popen(
        deployed(port), env=at.environment, cwd=ROOT,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        site = Site(f"http://127.0.0.1:{port}", password)
        wait_until(lambda: answers(site.address) or process.poll() is not None, 60)
        yield site
    finally:
        process.terminate()
        process.wait()


def answers(address: str) -> bool:
    try:
        return httpx2.get(f"{address}/login/").status_code == 200
    except httpx2.TransportError:
        return False
