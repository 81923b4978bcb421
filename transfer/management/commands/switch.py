from argparse import ArgumentParser
from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.management.command import TaskCommand, with_zone
from transfer.models import Actor


class Command(TaskCommand):
    help = gettext_noop(
        "Switches tasks on or off. Switched on, a task waits for its next time; it never runs at "
        "once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("state", choices=["on", "off"], help=_("the new position"))
        super().add_arguments(parser)
        parser.add_argument("--reason", default="", help=_("shown beside the switch"))

    def handle(self, *, state: str, reason: str, **options: Any) -> None:
        for task in self.tasks(**options):
            task.switch(state == "on", Actor.at_command_line(), reason=reason)
            if task.next_run_at is None:
                self.say(_("%(task)s: switched off"), task=task)
            else:
                next_run = with_zone(task.next_run_at)
                self.say(_("%(task)s: switched on, next run %(at)s"), task=task, at=next_run)
