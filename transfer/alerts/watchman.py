"""Looks every minute whether the scheduler is silent: from the web process, since it is silent.

What stopped with the scheduler can't tell of it. If our own database is away, nobody is told:
see /health/ready.
"""

import logging
import threading
from functools import partial

from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from transfer.alerts.send import deliver
from transfer.alerts.watch import watch
from transfer.models import Heartbeat, Notice

logger = logging.getLogger(__name__)

EVERY = 60  # seconds


def start() -> None:
    """Starts the watch in a thread of its own, which ends with the process."""
    threading.Thread(target=_look_for_ever, name="watchman", daemon=True).start()


def _look_for_ever() -> None:
    while not threading.Event().wait(EVERY):
        try:
            look()
        except DatabaseError:
            logger.exception("watchman")
        finally:
            close_old_connections()


def look() -> None:
    """Watches while there is no tick; and sends, since there may be no worker either."""
    beat, now = Heartbeat.last(), timezone.now()
    if beat is None or beat.is_alive(now):
        return
    watch(now)
    for notice in Notice.objects.pending():
        notice.do(partial(deliver, notice))
