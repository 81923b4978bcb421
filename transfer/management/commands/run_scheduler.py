import logging
import threading
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, close_old_connections, connection
from django.utils import timezone
from django.utils.translation import gettext
from django_tasks_db.models import DBTaskResult

from transfer.errors import gettext_noop
from transfer.management.command import Command as BaseCommand
from transfer.queue.worker import drain, soft_stop
from transfer.runs.workers import announce
from transfer.schedule import following_minute
from transfer.tick import tick

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 0.5  # at the stop signal, and at the queue


def count(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 64:
        raise ArgumentTypeError(gettext("workers: a whole number from 0 to 64"))
    return int(text)


class Command(BaseCommand):
    help = gettext_noop(
        "Where there is no cron: looks at the schedule at every full minute, and works off the "
        "queue. Ctrl-C and SIGTERM end it after the chunk under way."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--workers",
            type=count,
            default=2,
            help=gettext("runs at once in this process; 0 leaves them to db_worker"),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["workers"]:
            announce("run_scheduler", options["workers"])
        workers: list[threading.Thread] = []
        pause = threading.Event()
        self.say(gettext_noop("The scheduler ticks. Ctrl-C ends it."))
        due = timezone.now()
        with soft_stop() as stopped:
            while not stopped():
                if timezone.now() >= due:
                    self._tick()
                    due = following_minute(timezone.now())
                workers = [worker for worker in workers if worker.is_alive()]
                if len(workers) < options["workers"] and self._work_waits():
                    worker = threading.Thread(target=work, args=[stopped], name="worker")
                    worker.start()
                    workers.append(worker)
                close_old_connections()
                pause.wait(SECONDS_BETWEEN_LOOKS)
            self.say(gettext_noop("Ending after the chunk under way."))
            self.stdout.flush()
            for worker in workers:
                worker.join()
        self.say(gettext_noop("The scheduler has ended."))

    def _tick(self) -> None:
        try:
            tick("run_scheduler")
        except DatabaseError:
            # Our own database is away for a while: the next minute tries again.
            logger.exception("tick")
            connection.close()

    def _work_waits(self) -> bool:
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
