from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.management.command import TaskCommand
from transfer.models import Actor


class Command(TaskCommand):
    help = gettext_noop("Ends the pause of tasks. They wait for their next time by schedule.")

    def handle(self, *args: Any, **options: Any) -> None:
        for task in self.tasks(**options):
            task.resume(Actor.at_command_line())
            self.say(_("%(task)s: goes on"), task=task)
