"""The settings of the web server; `gunicorn` reads them in the folder where it is called."""

import os
import shutil
import sys
import tempfile
from contextlib import suppress
from typing import Any

wsgi_app = "dtadmin.wsgi:application"
workers = 2  # Python does one thing at a time in each
threads = 16
worker_class = "dtadmin.slow_clients.HeadFirstWorker"  # they get requests whose head has arrived
worker_connections = 500  # and 200 that linger: fewer than the 1024 files of a process
timeout = 300  # seconds of silence: a large workbook keeps Python to itself while it is read
graceful_timeout = 100  # seconds that a stop leaves to pages under way, such as exports
keepalive = 0  # a connection that is kept stays with its process; the worker's class needs it
limit_request_line = 8190  # as nginx has it; filters and sorts stand in the address
# Which proxy is believed, dtadmin.middleware knows. Over a Unix socket gunicorn believes everybody.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
umask = 0o007  # only its own user and group may open a Unix socket that it makes
loglevel = "error"  # below that it quotes what was sent, secrets included
control_socket_disable = True

IN_MEMORY = "/dev/shm"  # noqa: S108 - a folder of its own there

APP_LOAD_ERROR = 4  # exit code of a process at which gunicorn ends: gunicorn.arbiter.Arbiter


def on_starting(_server: Any) -> None:
    """Makes the folder of what all its processes know: counts for /metrics, what servers answered.

    In memory, since who writes to a mapped file on a full disk is killed.
    """
    place = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
    name = f"dtadmin-web-{os.getpid()}-"
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix=name, dir=place)


def post_worker_init(worker: Any) -> None:
    """Starts the watchdog of the scheduler in each process, once the application is loaded.

    The first process ends the web server if our own database is a newer version's, or 0.1.0's.
    Those that replace one later do not: a version may go on while the next one is being installed.
    Nor do the others that begin with it: gunicorn fails if a second one ends while it stops.
    """
    from transfer.alerts import scheduler_watchdog
    from transfer.loading.body import places
    from transfer.logs import WithoutLinks

    if worker.age == 1:
        refuse_another_version()
    worker.log.error_log.addFilter(WithoutLinks())
    places.divide(worker.cfg.threads)
    scheduler_watchdog.start()


def refuse_another_version() -> None:
    """Raises SystemExit, which stops the web server; a database that is away stops nothing."""
    from django.db import Error, connection

    from transfer.doctor.schema import our_unknown_migrations, refusal
    from transfer.text.explain import explain

    with suppress(Error):
        if unknown := our_unknown_migrations():
            print(explain(refusal(unknown)), file=sys.stderr)  # noqa: T201
            raise SystemExit(APP_LOAD_ERROR)
        connection.close()


def pre_request(_worker: Any, request: Any) -> None:
    """Limits the time for the body and the answer of a request, whose head has arrived."""
    from dtadmin.slow_clients import limit_body

    limit_body(request)


def on_exit(_server: Any) -> None:
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
