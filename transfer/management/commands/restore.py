from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db.models import Max
from django.utils.translation import gettext as _, gettext_noop

from transfer.engine.postgres.database import Database
from transfer.errors import TransferError
from transfer.management import archive
from transfer.management.command import Command as BaseCommand
from transfer.models import Actor, AuditEntry, MaintenanceTask, Settings, TransferTask, User
from transfer.parties import SHOP_ALL
from transfer.text import formats
from transfer.text.explain import explain

LOADS = """
    select count(*), coalesce(sum(rows), 0) from datatransfer.load
     where started > %s and undoes is null
"""


class Command(BaseCommand):
    help = gettext_noop(
        "Restores a backup into the empty database that DATABASE_URL names. Nothing starts "
        "automatically: queued runs are cancelled, and tasks are paused for an hour."
    )
    requires_migrations_checks = False  # there are no tables yet
    flags = {
        "--other-key": gettext_noop(
            "the SECRET_KEY of the backup is lost; its passwords have to be entered again"
        )
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file", type=Path, metavar=_("FILE"), help=_("the file that `backup` wrote")
        )

    def handle(self, *, file: Path, other_key: bool, **options: Any) -> None:
        archive.check(file, other_key=other_key)
        archive.restore(file)
        call_command("migrate", verbosity=0, interactive=False)
        at = AuditEntry.objects.aggregate(at=Max("at"))["at"]  # of the backup
        actor, action = Actor.at_command_line(), AuditEntry.Action.RESTORE
        new = {"backup_of": at, "file": file.name}
        AuditEntry.record(actor, action, Settings.load(), new=new)
        self._say_what_to_look_at(at)

    def _say_what_to_look_at(self, at: datetime | None) -> None:
        """Names what the backup has reset: tasks, users and loads."""
        enabled = sum(tasks.objects.enabled().count() for tasks in (TransferTask, MaintenanceTask))
        users = User.objects.active().values_list("username", flat=True)
        self.say(_("Restored: the backup of %(at)s."), at=formats.moment(at))
        self.say(
            _(
                "Tasks that are on: %(n)s, paused for an hour. Check them, then run: manage.py "
                "task resume all"
            ),
            n=enabled,
        )
        self.say(_("Users who may log in: %(names)s"), names=", ".join(users))
        shop_all = Database(settings.SHOP_ALL_DATABASE_URL, SHOP_ALL, "restore", secret=False)
        try:
            with shop_all, shop_all.transaction(commit=False):
                loads, rows = shop_all.only_row(LOADS, [at])
        except TransferError as error:
            self.stderr.write(str(explain(error).sentence))
            return
        if loads:
            self.say(
                _(
                    "Loaded after the backup, and unknown here now: %(loads)s files and single "
                    "changes with %(rows)s rows. Do not load them again."
                ),
                loads=loads,
                rows=rows,
            )
