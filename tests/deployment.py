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


def deployed(port):
    """The command that the paper on installation gives, with another port."""
    text = (ROOT / "docs/en/installation.md").read_text()
    program, *words = shlex.split(re.search("`(gunicorn [^`]+)`", text)[1])
    command = [str(Path(sys.executable).with_name(program)), *words]
    return [word.replace(":8000", f":{port}") for word in command]


@contextmanager
def running(command, **options):
    """A process of the command, which ends with the block."""
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def answers(url):
    """The status of the answer; 0 if there is none."""
    try:
        return httpx2.get(url, headers={"Host": "localhost"}).status_code
    except httpx2.TransportError:
        return 0
