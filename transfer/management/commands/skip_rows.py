from argparse import ArgumentParser
from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.causes.ledger import ROWS_PURGED
from transfer.errors import PositionKnown
from transfer.installed import installed_kinds
from transfer.management.command import (
    UNASKED,
    Command as BaseCommand,
    UsageError,
    confirm,
    servers_named,
)
from transfer.models import Actor, TransferTask
from transfer.runs.beginning import Answer, Decision, Question, decide, question


class Command(BaseCommand):
    help = gettext_noop(
        "Lets a bonus server go on without rows that it has not received and that were purged from "
        "shop All, for good. Lists them first."
    )
    flags = {
        "--dry-run": gettext_noop("list, and change nothing"),
        **UNASKED,
        "--json": gettext_noop("one JSON object a line"),
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("server", metavar=_("SERVER"), help=_("number or name"))
        parser.add_argument("kind", choices=[*installed_kinds()], help=_("the transfer"))

    def handle(
        self, *, server: str, kind: str, dry_run: bool, yes: bool, json: bool, **options: Any
    ) -> None:
        (named,) = servers_named(server)
        task = named.tasks.select_related("server").get(kind=kind)
        asked = _asked(task)
        for one in asked.lacking if asked else ():
            if json:
                self.say_json(
                    changeset=one.changeset, line=one.number, rows=one.rows, staged=one.started
                )
            else:
                self.say(
                    _("Line %(number)s of the log, staged %(at)s: %(rows)s rows, %(changeset)s"),
                    number=one.number,
                    at=one.started,
                    rows=one.rows,
                    changeset=one.changeset,
                )
        if asked is None:
            if not json:
                self.say(_("%(task)s: it lacks no purged rows."), task=task)
            return
        if dry_run:
            return
        confirm(
            _("%(task)s: go on without %(rows)s rows, for good?")
            % {"task": task, "rows": asked.purged},
            _("Going on without rows has to be confirmed: add --yes."),
            yes=yes,
            json=json,
        )
        decision = Decision(Answer.WITHOUT)
        outcome = decide(task, decision, Actor.at_command_line(), dry_run=False)
        if json:
            self.say_json(**task.audit_params(), skipped=outcome.skipped, sent=outcome.sent)
        else:
            self.say(
                _("%(task)s goes on without %(rows)s rows. The next run sends %(sent)s rows."),
                task=task,
                rows=outcome.skipped,
                sent=outcome.sent,
            )


def _asked(task: TransferTask) -> Question | None:
    """Return what is asked about purged rows, or None. Raises UsageError for another question."""
    try:
        asked = question(task)
    except PositionKnown:
        return None
    if asked.error.cause is not ROWS_PURGED:
        raise UsageError(
            _("%(task)s: something else has to be decided first. Run: manage.py begin"), task=task
        )
    return asked
