import logging
import threading
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import close_old_connections, connection
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_noop
from django_tasks_db.models import DBTaskResult

from transfer.logs import tell_of_work
from transfer.management.command import Command as BaseCommand, whole_number
from transfer.queue.residents import at_work, stay_connected
from transfer.queue.worker import soft_stop
from transfer.runs.arrivals import looking
from transfer.runs.worker_loops import PAUSE, drain_isolated
from transfer.schedule import following_minute
from transfer.tick import tick

logger = logging.getLogger(__name__)

MINUTE = timedelta(minutes=1)
SECONDS_BETWEEN_LOOKS = 0.5  # at the stop signal, and at the queue


class Command(BaseCommand):
    help = gettext_noop(
        "Replaces cron: runs the schedule at every full minute, and processes the queue. Ctrl-C "
        "and SIGTERM end it after the current chunk."
    )
    is_service = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--workers",
            type=whole_number(0, 64),
            default=2,
            help=_("how many runs this process does at the same time; 0 leaves them to db_worker"),
        )

    def handle(self, *, workers: int, **options: Any) -> None:
        tell_of_work()
        if workers:
            stay_connected("run_scheduler", workers)
        self.say(_("The scheduler is running. Ctrl-C stops it."))
        with soft_stop() as stopped, looking(stopped):
            at_work = self._carry_on(stopped, workers)
            self.say(_("Ending after the current chunk."))
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
                with surviving("the tick failed"):
                    tick("run_scheduler", now)
                due = following_minute(now)
            with surviving("no worker could be started"):
                workers = [worker for worker in workers if worker.is_alive()]
                if len(workers) < most and DBTaskResult.objects.ready().exists():
                    worker = threading.Thread(target=work, args=[stopped], name="worker")
                    worker.start()
                    workers.append(worker)
                close_old_connections()
            pause.wait(SECONDS_BETWEEN_LOOKS)
        return workers


@contextmanager
def surviving(failed: str) -> Iterator[None]:
    """Logs any exception of the block; the loop tries again.

    What the tick can note in our own database, it has noted itself.
    """
    try:
        yield
    except Exception:
        logger.exception(failed)
        connection.close()


def work(stopped: Callable[[], int]) -> None:
    """A worker thread: one of those that the process brings. Ends with the queue."""
    stay_connected("run_scheduler", 0)
    with surviving("a worker failed"), at_work():
        if drain_isolated(stopped) is None:
            threading.Event().wait(PAUSE)
    connection.close()
