from argparse import ArgumentParser
from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.management.command import TaskCommand, with_zone
from transfer.models import Actor
from transfer.text.schedule import in_words


class Command(TaskCommand):
    help = gettext_noop("Changes when tasks run: five cron fields, in the settings' time zone.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--cron",
            required=True,
            metavar="'*/5 * * * *'",
            help=_("minute, hour, day of the month, month, day of the week"),
        )

    def handle(self, *, cron: str, **options: Any) -> None:
        for task in self.tasks(**options):
            task.reschedule(cron, Actor.at_command_line())
            self.say(
                _("%(task)s: %(words)s; the next times: %(times)s"),
                task=task,
                words=in_words(task.schedule),
                times=", ".join(map(with_zone, task.next_times(3))),
            )
