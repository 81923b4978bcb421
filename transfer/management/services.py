"""The services of the package, as systemd runs them: `setup` starts those that are wanted."""

import os
import subprocess
from pathlib import Path

from django.conf import settings

from transfer.text.commands import PORT, SOCKET, unit_of_pages

UNITS = Path("/usr/lib/systemd/system")  # of the package
TARGET = "dtadmin.target"
WORKER = ("dtadmin-tick.timer", "dtadmin-worker@1.service")


def may_be_started() -> bool:
    """Whether the package's services are here, and this process may start them."""
    return settings.SYSTEMD and (UNITS / TARGET).exists() and os.geteuid() == 0


def start(with_worker: bool, behind_proxy: str) -> None:
    """Enables and starts the pages, and the schedule and a worker, or disables these two.

    Raises CalledProcessError.
    """
    if not with_worker:
        _systemctl("disable", "--now", *WORKER)
    _systemctl("enable", "--now", TARGET, unit_of_pages(behind_proxy), *(with_worker * WORKER))


def move_pages(behind_proxy: str) -> None:
    """Lets pages that listen in the other place listen in the one for this BEHIND_PROXY.

    Their process ends, since it would keep the other place open. Raises CalledProcessError.
    """
    wanted = unit_of_pages(behind_proxy)
    other = PORT if wanted == SOCKET else SOCKET
    asked = subprocess.run(["systemctl", "is-enabled", "--quiet", other], check=False)  # noqa: S603, S607 - of this machine
    if asked.returncode == 0:
        _systemctl("disable", "--now", other)
        _systemctl("stop", "dtadmin-web.service")
        _systemctl("enable", "--now", wanted)


def _systemctl(*arguments: str) -> None:
    subprocess.run(["systemctl", *arguments], check=True)  # noqa: S603, S607 - of this machine
