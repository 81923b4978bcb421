"""The demo's processes: started together, stopped together; one that dies is started again."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

STOP_SECONDS = 20
RESTARTS = 3
"""How often within RESTART_SECONDS a process is started again that ends by itself."""
RESTART_SECONDS = 60.0


@dataclass
class Program:
    """One process, and how it is started. `restarts` are times by the clock `monotonic`."""

    arguments: tuple[str, ...]
    environment: dict[str, str]
    log: Path | None
    process: "subprocess.Popen[bytes] | None" = None
    restarts: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Start Python with these arguments, in a group that Ctrl-C does not reach.

        What it prints goes to the end of the log, if there is one.
        """
        with self.log.open("ab") if self.log else contextlib.nullcontext() as output:
            self.process = subprocess.Popen(  # noqa: S603 - our own modules
                [sys.executable, *self.arguments],
                env=self.environment,
                start_new_session=True,
                stdout=output,
                stderr=output,
            )

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def may_start_again(self) -> bool:
        """Return whether it was not started too often of late, and count this time."""
        now = time.monotonic()
        self.restarts = [at for at in self.restarts if at > now - RESTART_SECONDS]
        if len(self.restarts) >= RESTARTS:
            return False
        self.restarts.append(now)
        return True


class Processes:
    """Child processes that end with the block, also on an exception."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = {**os.environ, **environment}
        self.programs: dict[str, Program] = {}

    def __enter__(self) -> Self:
        return self

    def start(
        self, name: str, *arguments: str, log: Path | None = None, **environment: str
    ) -> None:
        """Start Python with these arguments; what it prints goes into the log, if there is one."""
        if log:
            log.unlink(missing_ok=True)
        self.programs[name] = Program(arguments, {**self.environment, **environment}, log)
        self.programs[name].run()

    def run(self, *arguments: str, **environment: str) -> int:
        """Run Python to its end and return its exit code."""
        return subprocess.run(  # noqa: S603 - our own modules
            [sys.executable, *arguments], env={**self.environment, **environment}, check=False
        ).returncode

    def stop(self, name: str) -> None:
        """Stop one of them until it is started again by `start_again`."""
        program = self.programs[name]
        _end([program])
        program.process = None

    def start_again(self, name: str) -> None:
        self.programs[name].run()

    def revive(self) -> tuple[list[str], list[str]]:
        """Start those again that have ended by themselves.

        Returns the names of those that run again, and of those that died too often: they stay dead.
        """
        ended = {name: one for name, one in self.programs.items() if one.has_ended()}
        again = [name for name, one in ended.items() if one.may_start_again()]
        for name in again:
            ended[name].run()
        dead = [name for name in ended if name not in again]
        for name in dead:
            ended[name].process = None
        return again, dead

    def __exit__(self, *_: object) -> None:
        _end([*self.programs.values()])


def _end(programs: list[Program]) -> None:
    processes = [program.process for program in programs if program.process is not None]
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        process.kill()
        process.wait()


def free_port(wanted: int) -> int:
    """The port, or any free one when it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise OSError("no free port")
