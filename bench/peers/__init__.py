"""Other tools that move the same rows into the same table, each in a process of its own.

A peer is a generator over two URLs: before its `yield` it gets ready (imports, copies that it
needs), after it the clock runs. It raises ImportError or Missing where it can't be had.
"""

import json
import subprocess
import sys
from pathlib import Path

from bench.ground import Installation
from bench.peak import MARK
from tests.databases import ROOT, as_url

MISSING = 3  # the exit code
ASIDE = Path(sys.prefix) / "peers"  # what no other process may find: see the Makefile


class Missing(Exception):
    """What it would take to have the peer."""


def names_of_peers() -> list[str]:
    from bench.peers.drivers import DRIVERS
    from bench.peers.tools import TOOLS

    return [*DRIVERS, *TOOLS]


def run_peer(name: str, at: Installation, bonus: str) -> tuple[float, float]:
    """Its seconds, without the start of Python, and its peak memory in MB. Raises Missing."""
    own = [sys.executable, "-m", "bench.peers", name, as_url(at.shop_all), as_url(bonus)]
    done = subprocess.run(
        [sys.executable, "-m", "bench.peak", *own], cwd=ROOT, text=True, capture_output=True,
        env={**at.environment, "PYTHONPATH": str(ASIDE)}, check=False,
    )  # fmt: skip
    if done.returncode == MISSING:
        raise Missing(done.stdout.strip())
    if done.returncode:
        raise Missing(f"it failed: {last_line(done.stderr)}")
    return json.loads(done.stdout.splitlines()[-1]), int(done.stderr.rpartition(MARK)[2]) / 1024


def last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(MARK)]
    return lines[-1][:200] if lines else "?"
