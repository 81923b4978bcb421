from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _, gettext_noop

from transfer.management.command import Command as BaseCommand, UsageError
from transfer.models import Actor, MaintenanceRun, TransferRun
from transfer.models.run_base import Run, RunClosed

RUNS: dict[str, Any] = {"": TransferRun, "transfer": TransferRun, "maintenance": MaintenanceRun}


class Command(BaseCommand):
    help = gettext_noop(
        "Cancels a run: at once while it is queued, after the step under way while it runs."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "run",
            metavar=_("RUN"),
            help=_("as run_now names it: 12 of a transfer, maintenance-12 of maintenance"),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        run = run_named(options["run"])
        if run is None:
            raise UsageError(_("There is no run %(run)s."), run=options["run"])
        try:
            run.cancel(Actor.at_command_line())
        except RunClosed as error:
            raise CommandError(
                _("Run %(run)s has ended: %(state)s.")
                % {"run": run.key, "state": run.get_state_display()}
            ) from error
        self.say(
            _("Run %(run)s ends after the step under way.")
            if run.is_open
            else _("Run %(run)s is cancelled."),
            run=run.key,
        )


def run_named(name: str) -> Run | None:
    """The run of this number, or of this key: see `Run.key`."""
    kind, _dash, number = name.rpartition("-")
    runs = RUNS.get(kind)
    return runs.objects.filter(pk=number).first() if runs and number.isdecimal() else None
