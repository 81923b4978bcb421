import sys
from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.management.command import ALREADY_RUNNING, TaskCommand
from transfer.models import Actor
from transfer.models.run_base import Trigger
from transfer.runs.start import RunIsOpen, run_now
from transfer.runs.workers import when_it_starts


class Command(TaskCommand):
    help = gettext_noop(
        "Puts runs into the queue, also of tasks that are switched off or paused. A worker takes "
        "them at once, the tick within a minute. Exit code 3 when a task has an open run already."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        open_already, queued = False, 0
        for task in self.tasks(**options):
            try:
                run = run_now(task, Actor.at_command_line(), Trigger.COMMAND)
            except RunIsOpen as error:
                open_already = True
                self.say(_("%(task)s: run %(run)s is open already"), task=task, run=error.run.key)
            else:
                queued += 1
                self.say(_("%(task)s: run %(run)s is queued"), task=task, run=run.key)
        if queued:
            self.stdout.write(when_it_starts(queued))
        if open_already:
            sys.exit(ALREADY_RUNNING)
