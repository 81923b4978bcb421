"""Fixtures of the commands' tests."""

import fcntl
import os
import subprocess
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def crontab():
    """The user's crontab, put back afterwards as it was; one run of tests at a time has it."""
    if not Path("/usr/bin/crontab").exists():
        pytest.skip("Debian's cron is not installed")
    lock = open(Path(tempfile.gettempdir()) / f"crontab-{os.geteuid()}.lock", "w")  # noqa: SIM115 - held over the yield
    fcntl.flock(lock, fcntl.LOCK_EX)
    before = subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False)
    subprocess.run(["crontab", "-r"], capture_output=True, check=False)
    yield lambda: subprocess.run(["crontab", "-l"], capture_output=True, text=True).stdout
    if before.returncode == 0:
        subprocess.run(["crontab", "-"], input=before.stdout, text=True, check=True)
    else:
        subprocess.run(["crontab", "-r"], capture_output=True, check=False)
    lock.close()
