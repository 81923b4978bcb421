from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.management.archive import dump
from transfer.management.command import Command as BaseCommand
from transfer.models import Actor, AuditEntry, Settings
from transfer.text import formats


class Command(BaseCommand):
    help = gettext_noop(
        "Writes a backup of Data Transfer's own database into a file. The passwords in it are "
        "encrypted with SECRET_KEY: keep the env file as well, in another place."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file",
            type=Path,
            metavar=_("FILE"),
            help=_("an existing file with this name is replaced"),
        )

    def handle(self, *, file: Path, **options: Any) -> None:
        # Noted first: so the backup holds when it was made.
        action = AuditEntry.Action.BACKUP
        AuditEntry.record(Actor.at_command_line(), action, Settings.load())
        dump(file)
        size = formats.number(file.stat().st_size)
        self.say(_("%(file)s: %(size)s bytes"), file=file, size=size)
