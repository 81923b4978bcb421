from functools import partial
from typing import Any

from django.utils.translation import gettext_noop
from django_tasks_db.management.commands.db_worker import Command as LibraryCommand

from transfer.logs import tell_of_work
from transfer.management.command import Command as BaseCommand
from transfer.queue.worker import stop_of_worker
from transfer.runs.arrivals import looking
from transfer.runs.worker_loops import keep_working
from transfer.runs.workers import announce


class Command(BaseCommand, LibraryCommand):
    """The library's worker; the pages see that it is there."""

    help = gettext_noop(
        "A resident worker: starts queued runs, loads and jobs immediately. You may start any "
        "number of workers, on any number of machines. Ctrl-C and SIGTERM end it after the "
        "current chunk."
    )
    is_service = True

    def handle(self, *, batch: bool, **options: Any) -> None:
        if batch:
            super().handle(batch=batch, **options)
        else:
            tell_of_work()
            announce("db_worker", 1)
            with looking(lambda: stop_of_worker()()):
                keep_working(partial(super().handle, batch=batch, **options))
