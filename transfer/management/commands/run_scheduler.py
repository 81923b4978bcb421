import logging
import threading
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError, close_old_connections, connection
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_noop
from django_tasks_db.models import DBTaskResult

from transfer.management.command import Command as BaseCommand, whole_number
from transfer.queue.worker import drain, soft_stop
from transfer.runs.workers import announce
from transfer.schedule import following_minute
from transfer.tick import tick

logger = logging.getLogger(__name__)

MINUTE = timedelta(minutes=1)
SECONDS_BETWEEN_LOOKS = 0.5  # at the stop signal, and at the queue


class Command(BaseCommand):
    help = gettext_noop(
        "Where there is no cron: looks at the schedule at every full minute, and works off the "
        "queue. Ctrl-C and SIGTERM end it after the chunk under way."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--workers",
            type=whole_number(0, 64),
            default=2,
            help=_("runs at once in this process; 0 leaves them to db_worker"),
        )

    def handle(self, *, workers: int, **options: Any) -> None:
        if workers:
            announce("run_scheduler", workers)
        self.say(_("The scheduler is running. Ctrl-C stops it."))
        with soft_stop() as stopped:
            at_work = self._carry_on(stopped, workers)
            self.say(_("Ending after the chunk under way."))
            self.stdout.flush()
            for worker in at_work:
                worker.join()
        self.say(_("The scheduler has ended."))

    def _carry_on(self, stopped: Callable[[], int], most: int) -> list[threading.Thread]:
        """Ticks until it is stopped; returns the workers that are at work then."""
        workers: list[threading.Thread] = []
        pause, due = threading.Event(), timezone.now()
        while not stopped():
            now = timezone.now()
            # A clock that is set back is not waited for, nor one that is set within a tick.
            if not due - MINUTE <= now < due:
                tick_once(now)
                due = following_minute(now)
            workers = [worker for worker in workers if worker.is_alive()]
            if len(workers) < most and work_waits():
                workers.append(threading.Thread(target=work, args=[stopped], name="worker"))
                workers[-1].start()
            close_old_connections()
            pause.wait(SECONDS_BETWEEN_LOOKS)
        return workers


def tick_once(now: datetime) -> None:
    """Ticks; while our own database is away, the next minute tries again."""
    try:
        tick("run_scheduler", now)
    except DatabaseError:
        logger.exception("tick")
        connection.close()


def work_waits() -> bool:
    try:
        return DBTaskResult.objects.ready().exists()
    except DatabaseError:
        connection.close()
        return False


def work(stopped: Callable[[], int]) -> None:
    """A worker thread: ends with the queue."""
    announce("run_scheduler", 0)  # it is one of those that were announced
    try:
        drain(stopped)
    except Exception:
        logger.exception("worker")
    finally:
        connection.close()
