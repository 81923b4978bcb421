from argparse import ArgumentParser, ArgumentTypeError
from contextlib import ExitStack
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _, gettext_noop

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.restore.groups import Restored
from transfer.engine.restore.renumber_after_restore import Renumbered, renumber_after_restore
from transfer.engine.shop_all.source import ShopAll
from transfer.management.command import Command as BaseCommand
from transfer.models import BonusServer, Settings


class Command(BaseCommand):
    help = gettext_noop(
        "After the database of shop All was restored from a copy, or a replica that lagged took "
        "its place: numbers its rows anew. What was moved stays moved. All bonus servers must be "
        "reachable; nobody may write meanwhile. Where the files were restored it has to be told "
        "which rows are new, and does nothing by default."
    )
    flags = {"--dry-run": gettext_noop("count, change nothing")}

    def add_arguments(self, parser: ArgumentParser) -> None:
        new = parser.add_mutually_exclusive_group()
        new.add_argument(
            "--restored-at",
            type=moment,
            metavar=_("TIME"),
            help=_("rows created since then are new: '2026-01-31 12:00:00+03:00'"),
        )
        new.add_argument("--no-writes-since-restore", action="store_true", help=_("no row is new"))
        parser.add_argument(
            "--doubtful",
            choices=("moved", "waiting"),
            help=_(
                "what became of rows of the copy that may have been moved, or not; it tells which"
            ),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        knows = options["restored_at"] is not None or options["no_writes_since_restore"]
        restored = Restored(options["restored_at"]) if knows else None
        doubtful = options["doubtful"] and options["doubtful"] == "moved"
        with ExitStack() as opened:
            shop_all = opened.enter_context(ShopAll(settings.SHOP_ALL_DATABASE_URL, "rebase"))
            targets = [
                opened.enter_context(BonusDatabase(server.dsn, server.name, "rebase"))
                for server in BonusServer.objects.all()
            ]
            kinds = settings.KINDS.values()
            report = renumber_after_restore(
                shop_all, targets, kinds, restored, doubtful_moved=doubtful, dry_run=True
            )
            self._say_counts(report)
            if report and not options["dry_run"]:
                renumber_after_restore(shop_all, targets, kinds, restored, doubtful_moved=doubtful)
                self.say(_("Done. The next run of each transfer goes on from here."))

    def _say_counts(self, report: list[Renumbered]) -> None:
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


def moment(text: str) -> datetime:
    """A time as an option gives it; without a zone it is that of the installation."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(_("a time such as '2026-01-31 12:00:00+03:00'")) from None
    return given if given.tzinfo else given.replace(tzinfo=Settings.load().zone)
