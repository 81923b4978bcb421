"""What was measured on what: no names of hosts, no paths."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata

import psutil

from tests.databases import ROOT, query


def facts(server: str) -> str:
    """One line about the machine and the versions; `server` is a DSN."""
    (version,) = query(server, "show server_version")[0]
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{len(os.sched_getaffinity(0))} cores ({processor()}), {memory:.0f} GiB of memory, "
        f"{platform.system()} {platform.release().split('-')[0]}, PostgreSQL {version.split()[0]}, "
        f"Python {platform.python_version()}, Django {metadata.version('django')}, "
        f"psycopg2 {metadata.version('psycopg2-binary')}"
    )


def processor() -> str:
    """Its name as Linux knows it."""
    with open("/proc/cpuinfo") as lines:
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit() -> str:
    """The commit, and whether files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":!bench/RESULTS.md")
    return (git("rev-parse", "--short", "HEAD") or "?") + (" and changes" if changed else "")


def load() -> float:
    return os.getloadavg()[0]


def now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
