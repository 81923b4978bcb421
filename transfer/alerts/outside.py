"""Sends a message to an address outside, by a process with bounds: see `outside_process`."""

import json
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from transfer.alerts import outside_process


def send(channel: str, most_seconds: float, **message: Any) -> dict[str, Any]:
    """Returns what `outside_process` does of the answer, or {"failed": why}.

    `most_seconds` are for all of it: looking the name up, connecting, TLS, and the answer.
    """
    script = Path(outside_process.__file__)
    with subprocess.Popen(  # noqa: S603 - our own script; what it sends reaches no shell
        [sys.executable, "-I", "-B", str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        try:
            wanted = json.dumps({"channel": channel, **message}).encode()
            outcome, _nothing = child.communicate(wanted, most_seconds)
        except subprocess.TimeoutExpired:
            return {"failed": "time"}
        finally:
            child.kill()
    # One that was ended, by a bound of its memory or time, had received too much.
    return json.loads(outcome) if child.returncode == 0 else {"failed": "http"}


def is_forbidden_host(host: str) -> bool:
    """Whether the host, written as an address in any form, may never be reached.

    A name is not looked up: what it leads to is checked each time a message is sent.
    """
    with suppress(OSError, UnicodeError, ValueError):
        found = socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
        return any(outside_process.is_forbidden(str(target[0])) for *_, target in found)
    return False
