"""Loops over the queue that no exception ends: it is logged, counted and shown as a problem."""

import logging
import socket
from contextlib import suppress

from django.db import Error, connection

from transfer.models import FailedStep
from transfer.models.failed_steps import Steps
from transfer.queue.residents import at_work
from transfer.queue.worker import Stopped, do, drain, take, wait

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


def keep_working(stopped: Stopped, interval: float) -> None:
    """Work off the queue until it is stopped; look every `interval` seconds while it is empty.

    After a failure of the loop itself it goes on in PAUSE seconds. The problem ends with the next
    entry that is worked off.
    """
    host, failing = socket.gethostname(), False
    while not stopped():
        try:
            entry = take()
            pause = interval if entry is None else 0.0
            if entry is not None:
                with at_work():
                    do(entry, stopped)
            if failing and not pause:
                FailedStep.note_success(STEP, host)
                failing = False
        except Exception as error:
            pause, failing = PAUSE, True
            logger.exception("the worker failed, and goes on in %g s", PAUSE)
            connection.close()
            with suppress(Error):  # our own database may be what failed
                FailedStep.note_failure(STEP, host, error)
        wait(pause, stopped)
