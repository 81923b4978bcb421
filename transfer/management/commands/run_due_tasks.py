from argparse import ArgumentParser
from typing import Any

from django.utils.translation import gettext

from transfer.errors import gettext_noop
from transfer.management.command import Command as BaseCommand
from transfer.queue.worker import drain, soft_stop
from transfer.tick import tick


class Command(BaseCommand):
    help = gettext_noop(
        "One look at the schedule: puts due tasks into the queue, and works the queue off. Meant "
        "for cron, every minute. Several at once are safe."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--no-drain",
            action="store_true",
            help=gettext("leave the queue to resident workers (manage.py db_worker)"),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        # Without a word when all is well: cron mails what a job says.
        with soft_stop() as stopped:
            done = tick("run_due_tasks")
            worked_off = 0 if options["no_drain"] else drain(stopped)
        if options["verbosity"] > 1:
            self.say(
                gettext_noop(
                    "opened %(opened)s, skipped %(skipped)s, interrupted %(interrupted)s, queued "
                    "again %(queued_again)s, worked off %(worked_off)s"
                ),
                **vars(done),
                worked_off=worked_off,
            )
