import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management import CommandError
from django.utils.translation import gettext as _, gettext_noop

from transfer.management.command import FAILED, Command as BaseCommand, whole_number
from transfer.runs.purge import forget_installation, purge_all
from transfer.text.explain import explain


class Command(BaseCommand):
    help = gettext_noop(
        "Removes staged rows that are older and that no bonus server needs any more. A server that "
        "does not answer keeps back what it needs as far as it is known; one that is left behind "
        "does not. Exit code 1 when a table could not be purged."
    )
    flags = {"--dry-run": gettext_noop("count, and remove nothing")}

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--older-than",
            type=whole_number(1, 36_500),
            required=True,
            metavar=_("DAYS"),
            help=_("since they were written"),
        )
        parser.add_argument(
            "--without-installation",
            metavar=_("NAME"),
            help=_(
                "another installation of Data Transfer on this shop All, which is gone for good"
            ),
        )

    def handle(self, *, older_than: int, dry_run: bool, **options: Any) -> None:
        name = options["without_installation"]
        if name and not dry_run and not forget_installation(name):
            raise CommandError(_("No installation has this name: %(name)s") % {"name": name})
        waits = False
        for result in purge_all(older_than, dry_run=dry_run):
            table = result.kind.staging
            for task, error in result.unread:
                self.say(
                    _("%(table)s: what %(task)s needs is kept, by what is known of it: %(reason)s"),
                    table=table,
                    task=task,
                    reason=explain(error).sentence,
                )
            for left in result.left_behind:
                self.say(_("%(table)s: %(task)s is left behind"), table=table, task=left.task)
            if result.waits is not None:
                waits = True
                reason = explain(result.waits).sentence
                self.say(_("%(table)s: all rows are kept: %(reason)s"), table=table, reason=reason)
                continue
            words = (
                _("%(table)s: %(rows)s rows would be removed")
                if dry_run
                else _("%(table)s: %(rows)s rows removed")
            )
            self.say(words, table=table, rows=result.rows)
        if waits:
            sys.exit(FAILED)
