import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _, gettext_noop

from transfer.management.command import TaskCommand, with_zone
from transfer.models import Actor, Settings

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def moment(text: str) -> datetime | timedelta:
    if parts := re.fullmatch(r"(\d{1,4})([mhd])", text):
        return timedelta(**{UNITS[parts[2]]: int(parts[1])})
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(
            _("until when: 30m, 2h, 3d, or a time such as 2026-12-31T08:00")
        ) from error


class Command(TaskCommand):
    help = gettext_noop(
        "Pauses tasks until a time: nothing runs by schedule, and then it goes on by itself."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--until",
            type=moment,
            required=True,
            metavar="30m|2h|3d|2026-12-31T08:00",
            help=_("for so long, or until that time"),
        )
        parser.add_argument("--reason", default="", help=_("shown beside the task"))

    def handle(self, *, until: datetime | timedelta, reason: str, **options: Any) -> None:
        if isinstance(until, timedelta):
            until = timezone.now() + until
        elif until.tzinfo is None:
            until = until.replace(tzinfo=Settings.load().zone)
        for task in self.tasks(**options):
            task.pause(until, Actor.at_command_line(), reason=reason)
            self.say(_("%(task)s: paused until %(until)s"), task=task, until=with_zone(until))
