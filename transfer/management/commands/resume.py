from argparse import ArgumentParser
from typing import Any

from transfer.errors import gettext_noop
from transfer.management.command import Command as BaseCommand
from transfer.management.tasks import add_task_arguments, tasks_named
from transfer.models import Actor


class Command(BaseCommand):
    help = gettext_noop("Ends the pause of tasks. They wait for their next time by schedule.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_task_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        for task in tasks_named(options["task"], options["server"]):
            task.resume(Actor.at_command_line())
            self.say(gettext_noop("%(task)s: goes on"), task=task)
