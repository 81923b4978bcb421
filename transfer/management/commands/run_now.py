import sys
from argparse import ArgumentParser
from typing import Any

from transfer.errors import gettext_noop
from transfer.management.command import ALREADY_RUNNING
from transfer.management.command import Command as BaseCommand
from transfer.management.tasks import add_task_arguments, tasks_named
from transfer.models import Actor
from transfer.models.run_base import Trigger
from transfer.runs.start import RunIsOpen, run_now
from transfer.runs.workers import when_it_starts


class Command(BaseCommand):
    help = gettext_noop(
        "Puts runs into the queue, also of tasks that are switched off or paused. A worker takes "
        "them at once, the tick within a minute. Exit code 3 when a task has an open run already."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_task_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        open_already, queued = False, 0
        for task in tasks_named(options["task"], options["server"]):
            try:
                run = run_now(task, Actor.at_command_line(), Trigger.COMMAND)
            except RunIsOpen as error:
                open_already = True
                self.say(
                    gettext_noop("%(task)s: run %(run)s is open already"),
                    task=task,
                    run=error.run.key,
                )
            else:
                queued += 1
                self.say(gettext_noop("%(task)s: run %(run)s is queued"), task=task, run=run.key)
        if queued:
            self.stdout.write(when_it_starts(queued))
        if open_already:
            sys.exit(ALREADY_RUNNING)
