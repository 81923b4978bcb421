"""Looks every minute whether the scheduler and the workers are there: from the web process.

What has stopped can't report it. While our own database is away, no message is sent: see
/health/ready.
"""

import logging
import threading
from functools import partial

from django.db import close_old_connections
from django.utils import timezone

from transfer.alerts.send import deliver
from transfer.alerts.watch import watch
from transfer.models import Heartbeat, Notice
from transfer.models.failed_steps import Steps
from transfer.runs.workers import stuck_since

logger = logging.getLogger(__name__)

EVERY = 60  # seconds


def start() -> None:
    """Starts the watchdog in a thread, which ends with the process."""
    threading.Thread(target=_look_for_ever, name="scheduler_watchdog", daemon=True).start()


def _look_for_ever() -> None:
    while not threading.Event().wait(EVERY):
        try:
            look_at_scheduler()
        except Exception:  # our own database is away: look again in a minute
            logger.exception("the watchdog could not look at the scheduler")
        finally:
            close_old_connections()


def look_at_scheduler() -> None:
    """Watches while there is no tick or no worker, and sends the messages itself."""
    beat, now = Heartbeat.last(), timezone.now()
    if beat is None or (beat.is_alive(now) and not stuck_since()):
        return
    steps = Steps()
    with steps.isolated("watchdog"):
        watch(now)
    for notice in Notice.objects.pending():
        with steps.isolated("watchdog", f"notice {notice.pk}"):
            notice.do(partial(deliver, notice))
