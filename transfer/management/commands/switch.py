from argparse import ArgumentParser
from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.management.command import TaskCommand
from transfer.models import Actor, Settings


class Command(TaskCommand):
    help = gettext_noop(
        "Switches tasks on or off. Switched on, a task waits for its next time; it never runs at "
        "once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("state", choices=["on", "off"], help=_("the new position"))
        super().add_arguments(parser)
        parser.add_argument("--reason", default="", help=_("shown beside the switch"))

    def handle(self, *args: Any, **options: Any) -> None:
        zone = Settings.load().zone
        for task in self.tasks(options["task"], options["server"]):
            task.switch(options["state"] == "on", Actor.at_command_line(), reason=options["reason"])
            if task.next_run_at is None:
                self.say(_("%(task)s: switched off"), task=task)
            else:
                self.say(
                    _("%(task)s: switched on, next run %(at)s"),
                    task=task,
                    at=f"{task.next_run_at.astimezone(zone):%Y-%m-%d %H:%M %Z}",
                )
