"""`manage.py …` in processes that are forked from one that has the libraries loaded.

Each reads its environment and loads the product like any other, in a third of the time.

`python -m tests.forked SOCKET` is the process that forks. For each start it receives arguments and
environment as JSON, with four file descriptors: stdin, stdout, stderr, and a pipe into which it
writes the process number, and how the process has ended.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).parent.parent
SETTINGS = "DJANGO_SETTINGS_MODULE"
LONGEST = 1 << 17  # bytes of arguments and environment
# What needs no settings: the commands import these first, or libraries that import them.
LIBRARIES = (
    *("asyncio", "babel", "cronsim", "cryptography.fernet", "dotenv", "h11", "httpx2", "psutil"),
    *("psycopg2.extras", "tqdm", "transfer.engine.move.transfer"),
    *("django.contrib.admin.decorators", "django.contrib.postgres.fields", "pythonjsonlogger.core"),
    *("django.contrib.postgres.indexes", "django.core.mail", "django_filters.exceptions"),
    *("transfer.text.explain", "transfer.text.formats"),
    *("transfer.bonus_admin_client.contract", "django.contrib.auth.hashers"),
    *("django.core.management.commands.migrate", "django.core.serializers.json", "django.forms"),
    *("django.core.cache.backends.filebased", "django.core.files.storage", "django.template"),
    *("django.db.backends.postgresql.base", "django.db.models", "django.http", "django.shortcuts"),
    *("django.template.loader", "django.urls", "django.utils.log", "django.views.generic"),
)


class Reader(threading.Thread):
    """Reads a file to its end, and closes it."""

    def __init__(self, file: TextIO | None) -> None:
        super().__init__(daemon=True)
        self.file, self.text = file, ""

    def run(self) -> None:
        if self.file is not None and not self.file.closed:
            with self.file:
                self.text = self.file.read()


class Forked:
    """A process, as `subprocess.Popen` gives one. With `terminal`, its errors go to that file."""

    def __init__(self, forking: "Forking", request: bytes, terminal: int | None) -> None:
        self.returncode: int | None = None
        reading, out = os.pipe()
        self.stdout: TextIO = os.fdopen(reading, encoding="utf-8")
        self.stderr: TextIO | None = None
        err = terminal
        if err is None:
            reading, err = os.pipe()
            self.stderr = os.fdopen(reading, encoding="utf-8")
        self._report, report = os.pipe()
        with open(os.devnull) as nothing:
            socket.send_fds(forking.socket, [request], [nothing.fileno(), out, err, report])
        for one in {out, err, report} - {terminal}:
            os.close(one)
        self.pid = self._told()

    def _told(self) -> int:
        line = b""
        while not line.endswith(b"\n"):
            piece = os.read(self._report, 1)
            assert piece, "the process that forks has ended"
            line += piece
        return int(line)

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._report], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self) -> int:
        if self.returncode is None:
            self.returncode = self._told()
            os.close(self._report)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it says, and its errors, when it has ended; "" after the first time.

        Raises subprocess.TimeoutExpired.
        """
        readers = [Reader(one) for one in (self.stdout, self.stderr)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired("manage.py", timeout or 0)
        self.wait()
        said, errors = (reader.text for reader in readers)
        return said, errors

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class Forking:
    """The process that forks."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            command = [sys.executable, "-m", "tests.forked", str(number)]
            # No settings can be read, by mistake, that would then be those of all processes.
            mine = {name: text for name, text in os.environ.items() if name != SETTINGS}
            self.process = subprocess.Popen(command, cwd=ROOT, env=mine, pass_fds=[number])

    def start(self, *arguments: str, env: dict[str, str], terminal: int | None = None) -> Forked:
        """Starts `manage.py …` with this environment."""
        return Forked(self, json.dumps([arguments, env]).encode(), terminal)

    def run(self, *arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Runs it until it ends. Raises subprocess.TimeoutExpired after a minute, and kills it."""
        process = self.start(*arguments, env=env)
        try:
            said, errors = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess(arguments, process.wait(), said, errors)

    def close(self) -> None:
        self.socket.close()
        self.process.wait()


def main() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # so that children copy no pages
    requests = socket.socket(fileno=int(sys.argv[1]))
    reports: dict[int, int] = {}
    signal.signal(signal.SIGCHLD, lambda *_: report_ended(reports))
    while True:
        request, files, _flags, _address = socket.recv_fds(requests, LONGEST, 4)
        if not request:
            return
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        if (child := os.fork()) == 0:
            requests.detach()
            become(*json.loads(request), files)
            return
        *standard, reports[child] = files
        for one in standard:
            os.close(one)
        os.write(reports[child], f"{child}\n".encode())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])


def report_ended(reports: dict[int, int]) -> None:
    for child in [*reports]:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            report = reports.pop(child)
            os.write(report, f"{os.waitstatus_to_exitcode(status)}\n".encode())
            os.close(report)


def become(arguments: list[str], environment: dict[str, str], files: list[int]) -> None:
    """Goes on as `manage.py …`, until it ends."""
    for number, one in enumerate(files[:3]):
        os.dup2(one, number)
    os.closerange(3, 256)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["manage.py", *arguments]
    runpy.run_path("manage.py", run_name="__main__")


if __name__ == "__main__":
    main()
