"""Fixtures of the commands' tests."""

import fcntl
import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.management.exit_codes import exit_code
from transfer.models import Heartbeat


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


@pytest.fixture
def doctor(capsys):
    """Runs it; returns its exit code, and each line by area and label."""

    def run():
        code = exit_code("doctor", "--json")
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return code, {(line["area"], line["label"]): line for line in lines}

    return run


@pytest.fixture
def installation(shop_all, docked, settings):
    settings.SILENCED_SYSTEM_CHECKS = ["async.E001"]  # of what browser tests need here
    Heartbeat.beat("here: run_due_tasks")
    return docked
