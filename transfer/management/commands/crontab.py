import os
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext
from django_crontab.management.commands.crontab import Command as BaseCommand  # type: ignore[import-untyped]
from dotenv import dotenv_values

from transfer.management.command import USAGE

NEEDED = ("DATABASE_URL", "SHOP_ALL_DATABASE_URL", "SECRET_KEY", "TIME_ZONE")


class Command(BaseCommand):
    """django-crontab's own, which does not notice that cron will lack the environment."""

    def handle(self, *args: Any, **options: Any) -> None:
        if options["subcommand"] == "add" and (missing := unknown_to_cron()):
            raise CommandError(
                gettext(
                    "cron would not see %(names)s: it gives no environment. Write them into a "
                    "file, and name it: DTADMIN_ENV=/path/to/file manage.py crontab add"
                )
                % {"names": ", ".join(missing)},
                returncode=USAGE,
            )
        super().handle(*args, **options)


def unknown_to_cron() -> list[str]:
    """Settings that stand in the environment and not in the file that the line will name."""
    file = os.environ.get("DTADMIN_ENV")
    in_file = dotenv_values(file) if file else {}
    return [name for name in NEEDED if os.environ.get(name) and name not in in_file]
