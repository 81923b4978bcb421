"""The settings of the web server; `gunicorn` reads them in the folder where it is called."""

import os
import shutil
import tempfile
from typing import Any

wsgi_app = "dtadmin.wsgi:application"
workers = 2  # Python does one thing at a time in each
threads = 16
timeout = 300  # seconds of silence: a large workbook keeps Python to itself while it is read
graceful_timeout = 100  # seconds that a stop leaves to pages under way, such as exports
keepalive = 0  # a connection that is kept stays with its process, while the other one is idle
limit_request_line = 8190  # as nginx has it; filters and sorts stand in the address
forwarded_allow_ips = ""  # which proxy is believed, dtadmin.middleware knows
loglevel = "error"  # below that it quotes what was sent, secrets included
control_socket_disable = True

IN_MEMORY = "/dev/shm"  # noqa: S108 - a folder of its own there


def on_starting(_server: Any) -> None:
    """Makes the folder of what all its processes know: counts for /metrics, what servers answered.

    In memory, since who writes to a mapped file on a full disk is killed.
    """
    place = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
    name = f"dtadmin-web-{os.getpid()}-"
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=name, dir=place)


def post_worker_init(_worker: Any) -> None:
    """Starts the watchdog of the scheduler in each process, once the application is loaded."""
    from transfer.alerts import scheduler_watchdog

    scheduler_watchdog.start()


def on_exit(_server: Any) -> None:
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
