from argparse import ArgumentParser
from dataclasses import fields
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _, gettext_noop

from transfer.engine.restore.requested_position import Request
from transfer.engine.restore.set_position import Outcome
from transfer.management.command import Command as BaseCommand, servers_named
from transfer.management.doubts import FLAGS, add_doubtful, answers_of
from transfer.models import Actor, TransferTask
from transfer.runs.positions import put_position
from transfer.text.explain import explain


class Command(BaseCommand):
    help = gettext_noop(
        "Sets what a bonus server has received, if it is new, its position was lost, or purged "
        "rows are missing. Later rows are sent to it; earlier rows are not."
    )
    flags = {
        "--accept-purged": gettext_noop("continue without rows that were purged from shop All"),
        "--shop-all-is-whole": gettext_noop(
            "shop All was not restored from a copy, though its log no longer has that batch"
        ),
        "--data-went-back": gettext_noop(
            "its data were restored to before a later batch that our own history knows"
        ),
        **FLAGS,
        "--dry-run": gettext_noop("count, change nothing"),
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("server", metavar=_("SERVER"), help=_("number or name"))
        parser.add_argument("kind", choices=list(settings.KINDS), help=_("which transfer"))
        where = parser.add_mutually_exclusive_group()
        where.add_argument("--batch", type=int, metavar="N", help=_("it has received this one"))
        where.add_argument("--start", action="store_true", help=_("it has received nothing"))
        where.add_argument(
            "--now", action="store_true", help=_("it has received everything staged until now")
        )
        where.add_argument(
            "--as-of-clone",
            action="store_true",
            help=_("it is a copy of another server, with our schema: continue from that position"),
        )
        parser.add_argument("--reader", metavar="UUID", help=_("whose batch N is meant"))
        add_doubtful(parser)

    def handle(self, *, server: str, kind: str, dry_run: bool, **options: Any) -> None:
        options["answers"] = answers_of(options)
        request = Request(**{field.name: options[field.name] for field in fields(Request)})
        (named,) = servers_named(server)
        task = named.tasks.select_related("server").get(kind=kind)
        outcome = put_position(task, request, Actor.at_command_line(), dry_run=dry_run)
        self._report(task, outcome, dry_run)

    def _report(self, task: TransferTask, outcome: Outcome, dry_run: bool) -> None:
        if outcome.doubt is not None:
            self.say(_("%(task)s: the next run will refuse."), task=task)
            self.say("%(doubt)s", doubt=explain(outcome.doubt))
        else:
            sentence = (
                _("%(task)s: %(rows)s rows would be sent; nothing was changed")
                if dry_run
                else _("%(task)s: the next run sends %(rows)s rows")
            )
            self.say(sentence, task=task, rows=outcome.sent)
        if outcome.lost.rows:
            given_up = (
                _("%(task)s: %(rows)s purged rows are given up")
                if outcome.lost.is_exact
                else _("%(task)s: up to %(rows)s purged rows are given up")
            )
            self.say(given_up, task=task, rows=outcome.lost.rows)
