from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _, gettext_noop

from transfer.management.command import FAILED, Command as BaseCommand
from transfer.queue.worker import soft_stop
from transfer.runs.worker_loops import STEP, drain_isolated
from transfer.tick import tick


class Command(BaseCommand):
    help = gettext_noop(
        "Runs the schedule once: queues due tasks, and processes the queue. Let cron run it every "
        "minute; several at the same time are safe."
    )
    is_service = True
    requires_migrations_checks = False  # every minute: other commands say what is pending
    flags = {
        "--no-drain": gettext_noop("leave the queue to background workers (manage.py db_worker)")
    }

    def handle(self, *, no_drain: bool, verbosity: int, **options: Any) -> None:
        # Silent on success, since cron mails what a job prints.
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
                _("These steps failed: %(steps)s. The other steps were done. The log says why.")
                % {"steps": ", ".join(failed)},
                returncode=FAILED,
            )
