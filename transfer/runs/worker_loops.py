"""Loops over the queue that no exception ends: it is logged, counted and shown as a problem."""

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Event

from django.db import Error, connection
from django_tasks_db.compat import task_finished

from transfer.models import FailedStep
from transfer.models.failed_steps import Steps
from transfer.queue.worker import Stopped, drain

logger = logging.getLogger(__name__)

STEP = "queue"
PAUSE = 5.0  # seconds until a worker that failed goes on


def drain_isolated(stopped: Stopped) -> int | None:
    """Works off the queue as `drain` does; returns how many entries, or None if the loop failed.

    Raises django.db.Error while our own database is away.
    """
    with Steps().isolated(STEP, socket.gethostname()):
        return drain(stopped)
    return None


def keep_working(run: Callable[[], None]) -> None:
    """Calls `run`, a loop over the queue, again and again until it ends without an exception.

    The problem ends with the next entry that is worked off.
    """
    host, failing = socket.gethostname(), False

    def entry_ended(**_signal: object) -> None:
        nonlocal failing
        if failing:
            FailedStep.note_success(STEP, host)
            failing = False

    task_finished.connect(entry_ended, weak=False)
    try:
        while True:
            try:
                return run()
            except Exception as error:
                failing = True
                logger.exception("the worker failed, and goes on in %g s", PAUSE)
                connection.close()
                with suppress(Error):  # our own database may be what failed
                    FailedStep.note_failure(STEP, host, error)
            Event().wait(PAUSE)
    finally:
        task_finished.disconnect(entry_ended)
