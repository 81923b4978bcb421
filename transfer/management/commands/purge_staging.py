import sys
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.utils.translation import gettext

from transfer.errors import gettext_noop
from transfer.management.command import FAILED
from transfer.management.command import Command as BaseCommand
from transfer.runs.purge import purge_all
from transfer.words.explain import explain


def days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 36_500:
        raise ArgumentTypeError(gettext("days: a whole number from 1 to 36500"))
    return int(text)


class Command(BaseCommand):
    help = gettext_noop(
        "Removes staged rows that every task has moved and that are older. What an enabled task "
        "has not moved, or a disabled one that has ever run, stays. Exit code 1 when a bonus "
        "server could not be asked."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--older-than", type=days, required=True, metavar="DAYS")
        parser.add_argument(
            "--dry-run", action="store_true", help=gettext("count, and remove nothing")
        )

    def handle(self, *args: Any, **options: Any) -> None:
        unknown = False
        sentence = (
            gettext_noop("%(table)s: %(rows)s rows would be removed")
            if options["dry_run"]
            else gettext_noop("%(table)s: %(rows)s rows removed")
        )
        for result in purge_all(options["older_than"], dry_run=options["dry_run"]):
            for task, error in result.kept_back_by:
                unknown = unknown or error is not None
                reason = (
                    explain(error).sentence
                    if error
                    else gettext("it is enabled and has not run yet")
                )
                self.say(
                    gettext_noop("%(table)s: all rows are kept for %(task)s: %(reason)s"),
                    table=result.kind.staging,
                    task=task,
                    reason=reason,
                )
            if not result.kept_back_by:
                self.say(sentence, table=result.kind.staging, rows=result.rows)
        if unknown:
            sys.exit(FAILED)
