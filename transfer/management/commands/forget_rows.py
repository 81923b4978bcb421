from argparse import ArgumentParser
from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.installed import installed_kinds
from transfer.management.command import UNASKED, Command as BaseCommand, confirm, with_zone
from transfer.models import Actor
from transfer.models.tasks import KindChoices
from transfer.runs.missing import forget_rows, missing_rows


class Command(BaseCommand):
    help = gettext_noop(
        "Lets all bonus servers go on without rows that were deleted from a staging table by hand, "
        "for good. Lists first what is missing."
    )
    flags = {
        "--dry-run": gettext_noop("list, and change nothing"),
        **UNASKED,
        "--json": gettext_noop("one JSON object a line"),
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=[*installed_kinds()], help=_("the transfer"))

    def handle(self, *, kind: str, dry_run: bool, yes: bool, json: bool, **options: Any) -> None:
        chosen, title = installed_kinds()[kind], KindChoices(kind).label
        listed = missing_rows(chosen)
        for one in listed:
            if json:
                self.say_json(
                    kind=kind,
                    changeset=one.changeset,
                    line=one.number,
                    rows=one.rows,
                    amount=one.amount if chosen.appends else None,
                    staged=one.started,
                    by=one.staged_by,
                )
            else:
                self.say(
                    _(
                        "Line %(number)s of the log, staged %(at)s by %(by)s: %(rows)s rows, "
                        "%(changeset)s"
                    ),
                    number=one.number,
                    at=with_zone(one.started),
                    by=one.staged_by,
                    rows=one.rows,
                    changeset=one.changeset,
                )
        if not listed:
            if not json:
                self.say(_("%(kind)s: no rows are missing."), kind=title)
            return
        if dry_run:
            return
        rows = sum(one.rows for one in listed)
        confirm(
            _("%(kind)s: go on without %(rows)s rows, for all bonus servers and for good?")
            % {"kind": title, "rows": rows},
            _("Going on without rows has to be confirmed: add --yes."),
            yes=yes,
            json=json,
        )
        forgotten = sum(one.rows for one in forget_rows(chosen, Actor.at_command_line()))
        if json:
            self.say_json(kind=kind, forgotten=forgotten)
        else:
            self.say(
                _("%(kind)s: the transfers go on without %(rows)s rows."),
                kind=title,
                rows=forgotten,
            )
