import sys
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _, gettext_noop

from transfer.errors import TransferError
from transfer.management.command import FAILED, Command as BaseCommand, whole_number
from transfer.runs.purge import purge_all, retire_readers
from transfer.text.explain import explain


class Command(BaseCommand):
    help = gettext_noop(
        "Removes staged rows that are older and that every task has moved. Rows stay that a task "
        "has not moved, if it is on or its position has begun. Purges do not wait for a bonus "
        "server that is left behind and does not answer. Exit code 1 when another could not be "
        "asked."
    )
    flags = {
        "--blank-pins": gettext_noop("empty the PIN codes of younger rows that were moved"),
        "--dry-run": gettext_noop("count, and remove nothing"),
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--older-than",
            type=whole_number(1, 36_500),
            required=True,
            metavar=_("DAYS"),
            help=_("since they were written"),
        )

        parser.add_argument(
            "--without-reader",
            action="append",
            type=UUID,
            default=[],
            metavar=_("READER"),
            help=_("a reader of another installation whose server is gone for good"),
        )

    def handle(self, *, older_than: int, blank_pins: bool, dry_run: bool, **options: Any) -> None:
        unanswered = False
        if not dry_run:
            retire_readers(map(str, options["without_reader"]))
        for result in purge_all(older_than, blank_pins=blank_pins, dry_run=dry_run):
            for task, error in result.kept_back_by:
                unanswered |= error is not None
                self.say(
                    _("%(table)s: all rows are kept for %(task)s: %(reason)s"),
                    table=result.kind.staging,
                    task=task,
                    reason=reason(error),
                )
            for left in result.left_behind:
                words = _("%(table)s: %(task)s is left behind")
                self.say(words, table=result.kind.staging, task=left.task)
            if not result.kept_back_by:
                self.say(
                    _("%(table)s: %(rows)s rows would be removed")
                    if dry_run
                    else _("%(table)s: %(rows)s rows removed"),
                    table=result.kind.staging,
                    rows=result.rows,
                )
            if result.blanked:
                self.say(
                    _("%(table)s: %(rows)s PIN codes would be blanked")
                    if dry_run
                    else _("%(table)s: %(rows)s PIN codes blanked"),
                    table=result.kind.staging,
                    rows=result.blanked,
                )
        if unanswered:
            sys.exit(FAILED)


def reason(error: TransferError | None) -> str:
    """Why a task keeps all rows."""
    if error is None:
        return _("it has not run yet, or not since shop All was renumbered")
    return explain(error).sentence
