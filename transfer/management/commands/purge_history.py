from typing import Any

from django.utils.translation import gettext_noop

from transfer.management.command import Command as BaseCommand
from transfer.runs.purge_history import purge_history
from transfer.text.reports import report_lines


class Command(BaseCommand):
    help = gettext_noop(
        "Removes runs, closed rejected rows, loads and audit entries that are older than the "
        "retention in the settings."
    )
    flags = {"--dry-run": gettext_noop("count, and remove nothing")}

    def handle(self, *, dry_run: bool, **options: Any) -> None:
        for line in report_lines(purge_history(dry_run=dry_run), dry_run=dry_run):
            self.stdout.write(line)
