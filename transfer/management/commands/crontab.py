import os
from typing import Any

from django.utils.translation import gettext as _, gettext_noop
from django_crontab.management.commands.crontab import (  # type: ignore[import-untyped]
    Command as LibraryCommand,
)
from dotenv import dotenv_values

from transfer.management.command import Command as BaseCommand, UsageError

NEEDED = ("DATABASE_URL", "SHOP_ALL_DATABASE_URL", "SECRET_KEY", "TIME_ZONE")


class Command(BaseCommand, LibraryCommand):
    """django-crontab's own, which does not notice that cron will lack the environment."""

    help = gettext_noop(
        "Writes the line of the schedule into the crontab of the user who calls it (add), shows "
        "it, or removes it. The line itself calls run."
    )
    requires_migrations_checks = False  # the crontab is all that it changes

    def handle(self, *args: Any, **options: Any) -> None:
        if options["subcommand"] == "add" and (missing := unknown_to_cron()):
            raise UsageError(
                _(
                    "cron passes no environment, so it would not see %(names)s. Write them into a "
                    "file, and name it: DTADMIN_ENV=/path/to/file manage.py crontab add"
                ),
                names=", ".join(missing),
            )
        super().handle(*args, **options)


def unknown_to_cron() -> list[str]:
    """Settings that are in the environment but not in the file that the line will name."""
    file = os.environ.get("DTADMIN_ENV")
    in_file = dotenv_values(file) if file else {}
    return [name for name in NEEDED if os.environ.get(name) and name not in in_file]
