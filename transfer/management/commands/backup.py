from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_noop

from transfer.doctor.installation import NIGHTLY
from transfer.management.archive import dump
from transfer.management.command import Command as BaseCommand, UsageError
from transfer.models import Actor, AuditEntry, Settings
from transfer.text import formats

KEPT = 14  # of the folder of nightly backups


class Command(BaseCommand):
    help = gettext_noop(
        "Writes a backup of Data Transfer's own database into a file. The passwords in it are "
        "encrypted with SECRET_KEY: keep the env file as well, in another place. Without FILE: "
        "into a new file in the folder that BACKUP_FOLDER names, which keeps the last 14."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file",
            type=Path,
            nargs="?",
            metavar=_("FILE"),
            help=_("an existing file with this name is replaced"),
        )

    def handle(self, *, file: Path | None, **options: Any) -> None:
        """Notes the beginning, writes the file, notes the end, removes the oldest files.

        The first note is in the backup: a restore reads there when it was made. Only the second
        one makes it a backup: see `AuditQuerySet.last_backup_at`.
        """
        path = file
        if path is None:  # a new one in the folder of nightly backups
            if not settings.BACKUP_FOLDER:
                sentence = _("Name a file, or a folder for nightly backups with BACKUP_FOLDER.")
                raise UsageError(sentence)
            name = f"dtadmin-{timezone.localtime():%Y-%m-%d-%H%M%S}.dump"
            path = Path(settings.BACKUP_FOLDER) / name
        self.note_in_audit({})
        dump(path)
        size = path.stat().st_size
        self.note_in_audit({"file": path.name, "bytes": size})
        if file is None:
            # Files that have other names are left.
            for old in sorted(path.parent.glob(NIGHTLY))[:-KEPT]:
                old.unlink(missing_ok=True)
        self.say(_("%(file)s: %(size)s bytes"), file=path, size=formats.number(size))

    def note_in_audit(self, facts: dict[str, Any]) -> None:
        action = AuditEntry.Action.BACKUP
        AuditEntry.record(Actor.at_command_line(), action, Settings.load(), new=facts)
