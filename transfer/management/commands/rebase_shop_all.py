from contextlib import ExitStack
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _, gettext_noop

from transfer.engine.bonus_db import BonusDatabase
from transfer.engine.rebase import rebase
from transfer.engine.staging import Staging
from transfer.management.command import Command as BaseCommand
from transfer.models import BonusServer


class Command(BaseCommand):
    help = gettext_noop(
        "After the database of shop All was restored from a copy: numbers its rows anew. What was "
        "moved stays moved. All bonus servers must be reachable; nobody may write meanwhile."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        with ExitStack() as doors:
            staging = doors.enter_context(Staging(settings.SHOP_ALL_DATABASE_URL, "rebase"))
            targets = [
                doors.enter_context(BonusDatabase(server.dsn, server.name, "rebase"))
                for server in BonusServer.objects.all()
            ]
            report = rebase(staging, targets)
        if not report:
            self.say(_("Nothing to do: the numbers of shop All are in order."))
        for line in report:
            self.say(
                _(
                    "%(kind)s → %(server)s: %(moved)s rows stay moved, %(waiting)s wait, "
                    "%(vanished)s moved ones are not in the copy"
                ),
                kind=line.kind,
                server=line.database,
                moved=line.moved,
                waiting=line.waiting,
                vanished=line.vanished,
            )
