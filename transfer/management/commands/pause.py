import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.utils import timezone
from django.utils.translation import gettext

from transfer.errors import gettext_noop
from transfer.management.command import USAGE
from transfer.management.command import Command as BaseCommand
from transfer.management.tasks import add_task_arguments, tasks_named
from transfer.models import Actor, Settings

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def moment(text: str) -> datetime | timedelta:
    if found := re.fullmatch(r"(\d{1,4})([mhd])", text):
        return timedelta(**{UNITS[found[2]]: int(found[1])})
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(
            gettext("until when: 30m, 2h, 3d, or a time such as 2026-12-31T08:00")
        ) from error


class Command(BaseCommand):
    help = gettext_noop(
        "Pauses tasks until a time: nothing runs by schedule, and then it goes on by itself."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_task_arguments(parser)
        parser.add_argument(
            "--until", type=moment, required=True, metavar="30m | 2h | 3d | 2026-12-31T08:00"
        )
        parser.add_argument("--reason", default="", help=gettext("shown beside the task"))

    def handle(self, *args: Any, **options: Any) -> None:
        zone, until = Settings.load().zone, options["until"]
        if isinstance(until, timedelta):
            until = timezone.now() + until
        elif until.tzinfo is None:
            until = until.replace(tzinfo=zone)
        for task in tasks_named(options["task"], options["server"]):
            try:
                task.pause(until, Actor.at_command_line(), reason=options["reason"])
            except ValidationError as error:
                raise CommandError("\n".join(error.messages), returncode=USAGE) from error
            self.say(
                gettext_noop("%(task)s: paused until %(until)s"),
                task=task,
                until=f"{until.astimezone(zone):%Y-%m-%d %H:%M %Z}",
            )
