"""An installation as it is deployed: its environment, and its web server in a process."""

import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.databases import ROOT

COMPLETE = {
    "DATABASE_URL": "postgresql://dtadmin:s3cret@db/dtadmin",
    "SHOP_ALL_DATABASE_URL": "postgresql://dtadmin:s3cret@cash:5433/shop_all?sslmode=require",
    "SECRET_KEY": "a long random text",
}


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


def answers(url, transport=None):
    """The status of the answer; 0 if there is none. `transport`: another one than TCP."""
    try:
        with httpx2.Client(transport=transport) as client:
            return client.get(url, headers={"Host": "localhost"}).status_code
    except httpx2.TransportError:
        return 0
