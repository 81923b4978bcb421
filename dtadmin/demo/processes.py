"""The demo's processes: started together, stopped together."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

STOP_SECONDS = 20


class Processes:
    """Child processes that end with the block, also on an exception."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = {**os.environ, **environment}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def start(
        self, name: str, *arguments: str, log: Path | None = None, **environment: str
    ) -> None:
        """Starts Python with these arguments, in a group that Ctrl-C does not reach.

        What it prints goes into the log, if there is one.
        """
        with log.open("wb") if log else contextlib.nullcontext() as output:
            self.running[name] = subprocess.Popen(  # noqa: S603 - our own modules
                [sys.executable, *arguments],
                env={**self.environment, **environment},
                start_new_session=True,
                stdout=output,
                stderr=output,
            )

    def run(self, *arguments: str, **environment: str) -> int:
        """Runs Python to its end and returns its exit code."""
        return subprocess.run(  # noqa: S603 - our own modules
            [sys.executable, *arguments], env={**self.environment, **environment}, check=False
        ).returncode

    def ended(self) -> list[str]:
        return [name for name, process in self.running.items() if process.poll() is not None]

    def __exit__(self, *_: object) -> None:
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        for process in self.running.values():
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
