from argparse import ArgumentParser
from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.errors import PositionKnown
from transfer.installed import installed_kinds
from transfer.management.command import (
    Command as BaseCommand,
    UsageError,
    servers_named,
    with_zone,
)
from transfer.models import Actor, TransferTask
from transfer.runs.beginning import Answer, Decision, Outcome, decide


class Command(BaseCommand):
    help = gettext_noop(
        "Says which of the staged rows a bonus server without a position has received, and begins "
        "its transfer. A wrong answer loses rows, or sends them twice: count first, with --dry-run."
    )
    flags = {
        "--dry-run": gettext_noop("count, and change nothing"),
        "--json": gettext_noop("one JSON object a line"),
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("server", metavar=_("SERVER"), help=_("number or name"))
        parser.add_argument(
            "kind",
            nargs="?",
            choices=[*installed_kinds()],
            help=_("the transfer; without it, all that have not begun"),
        )
        parser.add_argument(
            "--if-empty",
            action="store_true",
            help=_("with --nothing: only if the vendor's table is empty"),
        )
        answers = parser.add_mutually_exclusive_group(required=True)
        answers.add_argument(
            "--nothing",
            dest="answer",
            action="store_const",
            const=Answer.NOTHING,
            help=_("it has received nothing: all rows are sent"),
        )
        answers.add_argument(
            "--everything",
            dest="answer",
            action="store_const",
            const=Answer.EVERYTHING,
            help=_("it has all rows up to now: only what is staged from now on is sent"),
        )
        answers.add_argument(
            "--as",
            dest="other",
            metavar=_("SERVER"),
            help=_("its tables are a copy of that server's, whose task is off since before"),
        )
        answers.add_argument(
            "--own",
            dest="answer",
            action="store_const",
            const=Answer.OWN,
            help=_("its whole database is a copy: it goes on from where that was made"),
        )

    def handle(
        self,
        *,
        server: str,
        kind: str | None,
        answer: Answer | None,
        other: str | None,
        if_empty: bool,
        dry_run: bool,
        json: bool,
        **options: Any,
    ) -> None:
        if if_empty and answer != Answer.NOTHING:
            raise UsageError(_("--if-empty goes with --nothing."))
        (named,) = servers_named(server)
        decision = Decision(answer or Answer.AS_SERVER, is_empty=if_empty)
        if other is not None:
            (copied,) = servers_named(other)
            decision = Decision(Answer.AS_SERVER, copied)
        tasks = named.tasks.select_related("server")
        if kind is not None:
            self._begin(tasks.get(kind=kind), decision, dry_run, json)
        else:
            self._begin_all(list(tasks), decision, dry_run, json)

    def _begin_all(
        self, tasks: list[TransferTask], decision: Decision, dry_run: bool, json: bool
    ) -> None:
        """Begins those that have not begun. Raises PositionKnown where all have."""
        begun = None
        for task in tasks:
            try:
                self._begin(task, decision, dry_run, json)
            except PositionKnown as error:
                begun = begun or error
                tasks = [one for one in tasks if one != task]
        if begun and not tasks:
            raise begun

    def _begin(self, task: TransferTask, decision: Decision, dry_run: bool, json: bool) -> None:
        outcome = decide(task, decision, Actor.at_command_line(), dry_run=dry_run)
        if json:
            self.say_json(
                **task.audit_params(),
                answer=str(decision.answer),
                sent=outcome.sent,
                skipped=outcome.skipped,
                table_empty=outcome.is_empty,
                dry_run=dry_run,
            )
        else:
            self._report(task, decision, outcome, dry_run)

    def _report(self, task: Any, decision: Decision, outcome: Outcome, dry_run: bool) -> None:
        words = (
            _("%(task)s would begin. The next run would send %(rows)s rows.")
            if dry_run
            else _("%(task)s has begun. The next run sends %(rows)s rows.")
        )
        self.say(words, task=task, rows=outcome.sent)
        if decision.answer == Answer.NOTHING and not outcome.is_empty:
            self.say(
                _(
                    "Its table %(table)s is not empty, or we cannot tell. Rows in it that came "
                    "from shop All arrive a second time."
                ),
                table=task.kind_spec.quoted_target,
            )
        if outcome.skipped:
            self.say(
                _("%(rows)s rows were purged from shop All. It never gets them."),
                rows=outcome.skipped,
            )
        if outcome.copied_after:
            self.say(
                _(
                    "That is right only if the tables were copied after %(at)s, when %(server)s "
                    "last received rows."
                ),
                at=with_zone(outcome.copied_after),
                server=decision.server,
            )
