from typing import Any

from django_tasks_db.management.commands.db_worker import Command as LibraryCommand

from transfer.runs.workers import announce


class Command(LibraryCommand):
    """The library's worker; the pages see that it is there."""

    def handle(self, *, batch: bool, **options: Any) -> None:
        if not batch:
            announce("db_worker", 1)
        super().handle(batch=batch, **options)
