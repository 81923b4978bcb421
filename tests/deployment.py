"""An installation as it is deployed: its environment, and its web server in a process."""

import re
import shlex
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import psutil

from dtadmin.demo.processes import free_port
from tests.databases import ROOT
from tests.waiting import wait_until

COMPLETE = {
    "DATABASE_URL": "postgresql://dtadmin:s3cret@db/dtadmin",
    "SHOP_ALL_DATABASE_URL": "postgresql://dtadmin:s3cret@cash:5433/shop_all?sslmode=require",
    "SECRET_KEY": "a long random text",
}


BOUNDARY, TOKEN = "part-of-a-form", "a" * 32


def deployed(*places):
    """The command that the paper on installation gives, which listens at these places instead.

    A place is a port of this machine, or the address of a socket as gunicorn writes it.
    """
    text = (ROOT / "docs/en/installation.md").read_text()
    program, *words = shlex.split(re.search("`(gunicorn [^`]+)`", text)[1])
    command = [str(Path(sys.executable).with_name(program)), *words]
    command.remove("--bind=127.0.0.1:8000")
    named = [f"127.0.0.1:{place}" if isinstance(place, int) else place for place in places]
    return [*command, *(f"--bind={place}" for place in named)]


@contextmanager
def running(command, **options):
    """A process of the command, which ends with the block."""
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


class Web(NamedTuple):
    """The web server as it is deployed."""

    port: int
    master: Any

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def processes(self) -> list[psutil.Process]:
        return psutil.Process(self.master.pid).children()

    @property
    def clients(self) -> int:
        """How many are connected."""
        every = [one for process in self.processes for one in process.net_connections("tcp")]
        return sum(bool(one.raddr) and one.laddr.port == self.port for one in every)


@contextmanager
def web_server(environment, *options):
    """A web server that answers, until the block ends."""
    port = free_port(0)
    with running([*deployed(port), *options], env=environment) as master:
        web = Web(port, master)
        wait_until(lambda: answers(f"{web.address}/health/live") == 200, master)
        yield web


def answers(url, transport=None):
    """The status of the answer; 0 if there is none. `transport`: another one than TCP."""
    try:
        with httpx2.Client(transport=transport) as client:
            return client.get(url, headers={"Host": "localhost"}).status_code
    except httpx2.TransportError:
        return 0


@contextmanager
def half_a_file(port, path, *, cookies="", length=100 << 20):
    """A connection over which the beginning of a form with a file was sent."""
    lines = [
        f"POST {path} HTTP/1.1",
        *("Host: localhost", f"Content-Length: {length}"),
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Cookie: csrftoken={TOKEN}; {cookies}",
        *("", f"--{BOUNDARY}", 'Content-Disposition: form-data; name="csrfmiddlewaretoken"'),
        *("", TOKEN, f"--{BOUNDARY}"),
        'Content-Disposition: form-data; name="file"; filename="a.csv"',
    ]
    with socket.create_connection(("localhost", port), timeout=30) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        yield connection
