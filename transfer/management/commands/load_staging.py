import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _, gettext_noop, ngettext

from transfer.causes.catalogue import CATALOGUE
from transfer.causes.files import BAD_LINES_LEFT, COLUMNS_MISSING
from transfer.engine.kind import Kind
from transfer.errors import FileRefused
from transfer.installed import installed_kinds
from transfer.loading.headings import missing
from transfer.loading.loaded_before import earlier
from transfer.loading.receive import receive
from transfer.loading.report import warning
from transfer.loading.upload_job import go_on
from transfer.management.command import FAILED, Command as BaseCommand, UsageError
from transfer.management.progress import SHARE_AND_TIME_LEFT, Bar
from transfer.management.second_person import WAITS, actor_named, add_by
from transfer.models import Actor, Upload
from transfer.text.columns import alternatives, named
from transfer.text.explain import explain
from transfer.text.formats import amount, full_moment

TABLES = {name: kind for kind in installed_kinds().values() for name in (kind.name, kind.staging)}
CHUNK = 1 << 20
LISTED = 1000


class Command(BaseCommand):
    help = gettext_noop(
        "Loads a CSV, XLSX, XLS or ODS file into a staging table of shop All, once, and all good "
        "lines or none. If a line is bad, nothing is loaded without --good-only; bad lines are "
        "listed. Exit codes: 0 done, 1 failed or bad lines, 2 usage."
    )
    flags = {
        "--dry-run": gettext_noop("check, load nothing"),
        "--good-only": gettext_noop("leave bad lines out, load the rest"),
        "--again": gettext_noop("even if the same rows are loaded"),
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "table",
            choices=list(TABLES),
            metavar=" | ".join(installed_kinds()),
            help=_("what the file contains: a kind, or the name of its staging table"),
        )
        parser.add_argument("file", type=Path, metavar=_("FILE"), help=_("its path"))
        add_by(parser)

    def handle(self, *, table: str, file: Path, by: str | None, **options: Any) -> None:
        actor = actor_named(by)
        upload = uploaded(TABLES[table], file)
        try:
            self._load(upload, actor, options)
        finally:
            if upload.state not in (Upload.State.LOADED, Upload.State.WAITING):
                upload.delete()

    def _load(self, upload: Upload, actor: Actor, options: dict[str, Any]) -> None:
        self._go_on(upload, _("Checking"))
        if upload.state == Upload.State.COLUMNS:
            lacking = missing(upload.kind_spec, upload.layout["columns"])
            raise FileRefused(COLUMNS_MISSING, columns=alternatives(lacking))
        self._report(upload)
        if upload.bad and not options["good_only"]:
            raise FileRefused(BAD_LINES_LEFT, bad=upload.bad)
        before = earlier(upload)
        if before and not options["again"]:
            self.stderr.write(
                _("The same rows were loaded before: %(when)s, %(who)s. Use --again.")
                % {"when": full_moment(before.at), "who": before.by}
            )
            sys.exit(FAILED)
        if options["dry_run"]:
            self.say(_("Dry run: nothing was loaded."))
            return
        upload.confirm(actor)
        self._go_on(upload, _("Loading"))
        if upload.state == Upload.State.WAITING:
            self.say(_(WAITS), n=upload.good)
            return
        n, table = upload.good, upload.kind_spec.staging
        done = ngettext("%(n)s row loaded into %(table)s", "%(n)s rows loaded into %(table)s", n)
        self.say(done, n=n, table=table)

    def _go_on(self, upload: Upload, title: str) -> None:
        with Bar(self.stderr, title, bar_format=SHARE_AND_TIME_LEFT) as bar:
            go_on(upload, bar.show)
        if upload.explained:
            raise CommandError("\n".join(upload.explained))

    def _report(self, upload: Upload) -> None:
        self.say(
            _("Lines %(lines)s = good %(good)s + bad %(bad)s; accounts or cards: %(subjects)s"),
            lines=upload.lines,
            good=upload.good,
            bad=upload.bad,
            subjects=upload.subjects,
        )
        if corrections := upload.corrections:
            self.say(_("Lines that correct rejected rows, and close them: %(n)s"), n=corrections)
        if upload.amount is not None:
            self.say(_("Sum of the good lines: %(sum)s"), sum=amount(upload.amount))
        for code, params in upload.report["warnings"]:
            self.stderr.write(warning(code, params))
        self._report_bad_lines(upload)

    def _report_bad_lines(self, upload: Upload) -> None:
        for bad in upload.bad_lines.all()[:LISTED]:
            where = f"{named(bad.columns)}={bad.value}" if bad.columns else bad.value
            self.stderr.write(
                _("Line %(line)s: %(where)s: %(reason)s")
                % {
                    "line": bad.line,
                    "where": where,
                    "reason": explain(CATALOGUE[bad.code]).sentence,
                }
            )
        if upload.bad > LISTED:
            self.say(_("The first %(n)s bad lines are listed."), n=LISTED)


def uploaded(kind: Kind, path: Path) -> Upload:
    """The file as an upload. Raises UsageError when it can't be read."""
    try:
        with path.open("rb") as file:
            pieces, actor = iter(lambda: file.read(CHUNK), b""), Actor.at_command_line()
            return receive(
                kind, pieces, actor, name=path.name, input_method=Upload.InputMethod.COMMAND
            )
    except OSError as error:
        raise UsageError(
            _("%(file)s can't be read: %(reason)s"), file=path, reason=error.strerror
        ) from error
