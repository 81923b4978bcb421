from argparse import ArgumentParser, ArgumentTypeError
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _, gettext_noop, ngettext

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import RowsDoubtful
from transfer.engine.restore.answers import Answers
from transfer.engine.restore.new_numbers import Restored
from transfer.engine.restore.renumber_after_restore import renumber_after_restore
from transfer.engine.restore.translate import Renumbered
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import Unreachable
from transfer.loading.lost import note_lost
from transfer.management.command import Command as BaseCommand
from transfer.management.doubts import FLAGS, add_doubtful, answers_of
from transfer.models import Actor, BonusServer, Settings, TransferTask, Upload
from transfer.models.recorded import begun, recorded
from transfer.rejects.reopening import reopen_lost
from transfer.runs.positions import carry_task_over
from transfer.text.explain import explain


class Command(BaseCommand):
    help = gettext_noop(
        "Renumbers the rows of shop All after its database was restored from a copy, or a replica "
        "that lagged took its place. Rows that were moved stay moved. Writers wait during the "
        "command. A bonus server that does not answer is carried over by its next run. If the "
        "files were restored, say which rows are new with --restored-at; otherwise nothing is "
        "changed."
    )
    flags = {
        **FLAGS,
        "--dry-run": gettext_noop("count, change nothing"),
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        new = parser.add_mutually_exclusive_group()
        new.add_argument(
            "--restored-at",
            type=moment,
            metavar=_("TIME"),
            help=_("rows created since then are new: '2026-01-31 12:00:00+03:00'"),
        )
        new.add_argument("--no-writes-since-restore", action="store_true", help=_("no row is new"))
        add_doubtful(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        knows = options["restored_at"] is not None or options["no_writes_since_restore"]
        restored = Restored(options["restored_at"]) if knows else None
        answers = answers_of(options)
        with ExitStack() as opened:
            shop_all = opened.enter_context(ShopAll(settings.SHOP_ALL_DATABASE_URL, "rebase"))
            targets = [
                opened.enter_context(BonusDatabase(server.dsn, server.name, "rebase"))
                for server in BonusServer.objects.all()
            ]
            rebase = partial(
                renumber_after_restore,
                shop_all,
                targets,
                settings.KINDS.values(),
                restored,
                answers=answers,
                recorded=recorded,
                begun=begun(),
                withdrawals=Upload.objects.withdrawals,
            )
            report = rebase(dry_run=True)
            if report is None:
                self._carry_over(answers, dry_run=options["dry_run"])
                return
            self._say_counts(report.carried)
            for server in report.silent:
                self.say(
                    _(
                        "%(server)s does not answer. Its next run carries it over: what it has "
                        "received stays received."
                    ),
                    server=server,
                )
            for kind, server in report.lacking:
                self.say(
                    _(
                        "%(kind)s → %(server)s: rows were purged that it has not received. Its "
                        "next run says how many, and what to do."
                    ),
                    kind=kind,
                    server=server,
                )
            self._ask(report.doubts)
            if not options["dry_run"]:
                rebase()
                self._note_lost()
                self.say(_("Done. The next run of each transfer continues from here."))

    def _note_lost(self) -> None:
        """Notes which corrected rows and loaded files are not in the copy."""
        for kind in settings.KINDS.values():
            reopened = reopen_lost(kind, Actor.at_command_line())
            if reopened.rows:
                self.say(
                    ngettext(
                        "%(kind)s: the correction of %(n)s rejected row is not in the copy. The "
                        "row is open again: correct it once more.",
                        "%(kind)s: the corrections of %(n)s rejected rows are not in the copy. The "
                        "rows are open again: correct them once more.",
                        reopened.rows,
                    ),
                    kind=kind.name,
                    n=reopened.rows,
                )
            if reopened.kept:
                self.say(
                    ngettext(
                        "%(kind)s: the correction of %(n)s rejected row is not in the copy, and "
                        "may have reached one of its servers. The row stays closed: compare the "
                        "servers.",
                        "%(kind)s: the corrections of %(n)s rejected rows are not in the copy, and "
                        "may have reached some of their servers. The rows stay closed: compare the "
                        "servers.",
                        reopened.kept,
                    ),
                    kind=kind.name,
                    n=reopened.kept,
                )
            for load in note_lost(kind):
                self.say(_(words_of_lost(load)), kind=kind.name, file=load)

    def _ask(self, doubts: list[RowsDoubtful]) -> None:
        """Says which rows are in doubt, and raises the last: each transfer needs its answer."""
        for doubt in doubts[:-1]:
            self.say("%(doubt)s", doubt=explain(doubt))
        for doubt in doubts[-1:]:
            raise doubt

    def _carry_over(self, answers: Answers, *, dry_run: bool) -> None:
        """Carries over the servers that took no part in an earlier rebase."""
        carried, doubts = [], []
        for task in TransferTask.objects.select_related("server"):
            try:
                carried += carry_task_over(task, answers, dry_run=dry_run)
            except RowsDoubtful as doubt:
                doubts.append(doubt)
            except Unreachable as error:
                self.say("%(task)s: %(error)s", task=task, error=explain(error))
        self._say_counts(carried)
        if not dry_run:
            self._note_lost()
        self._ask(doubts)
        if not carried:
            self.say(_("Nothing to do: the numbering of shop All is correct."))

    def _say_counts(self, carried: list[Renumbered]) -> None:
        for line in carried:
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


def words_of_lost(load: Upload) -> str:
    """The sentence about a load or an undo that is not in the copy."""
    if not load.is_undo:
        return gettext_noop(
            "%(kind)s: the rows of %(file)s are not in the copy. Load the file again."
        )
    if load.state == Upload.State.LOST:
        return gettext_noop("%(kind)s: “%(file)s” is not in the copy. Take the load back again.")
    return gettext_noop(
        "%(kind)s: “%(file)s” is not in the copy, and a server may have received its rows, or read "
        "on since. Compare the servers."
    )


def moment(text: str) -> datetime:
    """A time as an option gives it; without a zone it is that of the installation."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(_("a time such as '2026-01-31 12:00:00+03:00'")) from None
    return given if given.tzinfo else given.replace(tzinfo=Settings.load().zone)
