from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _, gettext_noop

from transfer.management.command import FAILED, Command as BaseCommand
from transfer.queue.worker import soft_stop
from transfer.runs.worker_loops import STEP, drain_isolated
from transfer.tick import tick


class Command(BaseCommand):
    help = gettext_noop(
        "One look at the schedule: puts due tasks into the queue, and works the queue off. Meant "
        "for cron, every minute. Several at once are safe."
    )
    requires_migrations_checks = False  # every minute: other commands say what is pending
    flags = {
        "--no-drain": gettext_noop("leave the queue to background workers (manage.py db_worker)")
    }

    def handle(self, *, no_drain: bool, verbosity: int, **options: Any) -> None:
        # Silent when all is well, since cron mails what a job prints.
        with soft_stop() as stopped:
            done = tick("run_due_tasks --no-drain" if no_drain else "run_due_tasks")
            worked_off = 0 if no_drain else drain_isolated(stopped)
        if verbosity > 1:
            self.say(
                _(
                    "opened %(opened)s, skipped %(skipped)s, interrupted %(interrupted)s, queued "
                    "again %(queued_again)s, worked off %(worked_off)s"
                ),
                **vars(done),
                worked_off=worked_off or 0,
            )
        failed = [*done.failed, *([STEP] if worked_off is None else [])]
        if failed:
            raise CommandError(
                _("These steps failed, the others went on: %(steps)s. The log says why.")
                % {"steps": ", ".join(failed)},
                returncode=FAILED,
            )
