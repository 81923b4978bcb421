from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError

from transfer.errors import gettext_noop
from transfer.management.command import USAGE
from transfer.management.command import Command as BaseCommand
from transfer.management.tasks import add_task_arguments, tasks_named
from transfer.models import Actor
from transfer.words.schedule import in_words


class Command(BaseCommand):
    help = gettext_noop("Changes when tasks run: five cron fields, in the settings' time zone.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_task_arguments(parser)
        parser.add_argument("--cron", required=True, metavar="'*/5 * * * *'")

    def handle(self, *args: Any, **options: Any) -> None:
        for task in tasks_named(options["task"], options["server"]):
            try:
                task.reschedule(options["cron"], Actor.at_command_line())
            except ValidationError as error:
                raise CommandError("\n".join(error.messages), returncode=USAGE) from error
            times = ", ".join(f"{at:%Y-%m-%d %H:%M %Z}" for at in task.next_times(3))
            self.say(
                gettext_noop("%(task)s: %(words)s; the next times: %(times)s"),
                task=task,
                words=in_words(task.schedule),
                times=times,
            )
