import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext, ngettext

from transfer.engine.kinds import KINDS, Kind
from transfer.errors import gettext_noop
from transfer.loading.faults import BadLinesLeft, ColumnsMissing
from transfer.loading.headings import missing
from transfer.loading.receive import receive
from transfer.loading.report import explain_line
from transfer.loading.upload_job import go_on
from transfer.loading.warnings import explain_warning
from transfer.management.command import FAILED, USAGE
from transfer.management.command import Command as BaseCommand
from transfer.management.progress import FileProgress
from transfer.models import Actor, Upload
from transfer.words.columns import alternatives, named
from transfer.words.formats import amount, full_moment

TABLES = {name: kind for kind in KINDS.values() for name in (kind.name, kind.staging)}
CHUNK = 1 << 20
LISTED = 1000


class Command(BaseCommand):
    help = gettext_noop(
        "Loads a CSV or XLSX file into a staging table of shop All. All good lines or none, once. "
        "With a bad line nothing is loaded, unless --good-only is given; each is listed. Exit "
        "codes: 0 done, 1 failed or bad lines, 2 usage."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("table", choices=list(TABLES), metavar=" | ".join(KINDS))
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--dry-run", action="store_true", help=gettext("check, load nothing"))
        parser.add_argument(
            "--good-only", action="store_true", help=gettext("leave bad lines out, load the rest")
        )
        parser.add_argument(
            "--again", action="store_true", help=gettext("even if the same content is loaded")
        )

    def handle(self, *args: Any, **options: Any) -> None:
        upload = self._receive(TABLES[options["table"]], options["file"])
        try:
            code = self._load(upload, options)
        finally:
            if upload.state != Upload.State.LOADED:
                upload.delete()
        if code:
            sys.exit(code)

    def _receive(self, kind: Kind, path: Path) -> Upload:
        try:
            with path.open("rb") as file:
                chunks = iter(lambda: file.read(CHUNK), b"")
                way = Upload.Way.COMMAND
                actor = Actor.at_command_line()
                return receive(kind, chunks, actor, name=path.name, way=way)
        except OSError as error:
            raise CommandError(
                gettext("%(file)s can't be read: %(reason)s")
                % {"file": path, "reason": error.strerror},
                returncode=USAGE,
            ) from error

    def _load(self, upload: Upload, options: dict[str, Any]) -> int:
        self._go_on(upload, gettext("Checking"))
        if upload.state == Upload.State.COLUMNS:
            lacking = missing(upload.moves, upload.layout["columns"])
            raise ColumnsMissing(columns=alternatives(lacking))
        self._report(upload)
        if upload.bad and not options["good_only"]:
            raise BadLinesLeft(bad=upload.bad)
        earlier = upload.earlier()
        if earlier and earlier.closed_at and not options["again"]:
            self.stderr.write(
                gettext("The same content was loaded before: %(when)s, %(who)s. Use --again.")
                % {"when": full_moment(earlier.closed_at), "who": earlier.confirmed_by}
            )
            return FAILED
        if options["dry_run"]:
            self.say(gettext_noop("Dry run: nothing was loaded."))
            return 0
        upload.confirm(Actor.at_command_line())
        self._go_on(upload, gettext("Loading"))
        rows = ngettext(
            "%(n)s row loaded into %(table)s", "%(n)s rows loaded into %(table)s", upload.good
        )
        self.stdout.write(rows % {"n": upload.good, "table": upload.moves.staging})
        return 0

    def _go_on(self, upload: Upload, title: str) -> None:
        with FileProgress(self.stderr, title) as progress:
            go_on(upload, progress)
        if upload.explained:
            raise CommandError("\n".join(upload.explained), returncode=FAILED)

    def _report(self, upload: Upload) -> None:
        totals = {
            "lines": upload.lines,
            "good": upload.good,
            "bad": upload.bad,
            "subjects": upload.subjects,
        }
        self.say(
            gettext_noop(
                "Lines %(lines)s = good %(good)s + bad %(bad)s; accounts or cards: %(subjects)s"
            ),
            **totals,
        )
        if upload.corrections:
            self.say(
                gettext_noop("Lines that correct rejected rows, and close them: %(n)s"),
                n=upload.corrections,
            )
        if upload.amount is not None:
            self.say(gettext_noop("Sum of the good lines: %(sum)s"), sum=amount(upload.amount))
        for warning in upload.report["warnings"]:
            self.stderr.write(explain_warning(*warning))
        for bad in upload.bad_lines.all()[:LISTED]:
            where = f"{named(bad.columns)}={bad.value}" if bad.columns else bad.value
            self.stderr.write(
                gettext("Line %(line)s: %(where)s: %(reason)s")
                % {"line": bad.line, "where": where, "reason": explain_line(bad.code).sentence}
            )
        if upload.bad > LISTED:
            self.say(gettext_noop("The first %(n)s bad lines are listed."), n=LISTED)
