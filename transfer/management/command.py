"""What every command of ours shares: its language, its arguments, and failures in a sentence."""

import argparse
import json
import sys
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser, SystemCheckError
from django.db import DatabaseError
from django.utils.translation import gettext as _, gettext_noop, ngettext

from transfer.errors import TransferError
from transfer.models import BonusServer, MaintenanceTask, Settings, TransferTask
from transfer.models.schedules import ScheduledTask
from transfer.text.commands import as_typed_here
from transfer.text.explain import explain

FAILED, USAGE, ALREADY_RUNNING, NO_DATABASE = 1, 2, 3, 4
MAINTENANCE = [str(kind) for kind in MaintenanceTask.Kind]

# argparse asks these two of its module for each of its own words; the standard library's look
# for a catalogue that nobody has, and ours holds the words below.
argparse._ = _  # type: ignore[attr-defined]
argparse.ngettext = ngettext  # type: ignore[attr-defined]
WORDS_OF_ARGPARSE = (
    gettext_noop("usage: "),
    gettext_noop("positional arguments"),
    gettext_noop("options"),
    gettext_noop("show this help message and exit"),
    gettext_noop("%(prog)s: error: %(message)s\n"),
    gettext_noop("argument %(argument_name)s: %(message)s"),
    gettext_noop("the following arguments are required: %s"),
    gettext_noop("unrecognized arguments: %s"),
    gettext_noop("expected one argument"),
    gettext_noop("invalid choice: %(value)r (choose from %(choices)s)"),
    gettext_noop("invalid %(type)s value: %(value)r"),
    gettext_noop("ambiguous option: %(option)s could match %(matches)s"),
    gettext_noop("ignored explicit argument %r"),
)


class UsageError(CommandError):
    """The command was called wrongly; `params` fill the sentence."""

    def __init__(self, sentence: str, **params: object) -> None:
        super().__init__(sentence % params if params else sentence, returncode=USAGE)


class Command(BaseCommand):
    """A command whose help is in one language, and whose failures are a sentence and a hint."""

    requires_migrations_checks = True
    # Django's checks import every page, and look only at the code: `doctor` runs them.
    requires_system_checks = ()
    flags: dict[str, str] = {}  # options without a value, and what they do
    # Arguments that Django or a library brings, by name: our words for them, or that they are
    # hidden from the help. Hidden ones work as ever.
    inherited: dict[str, str] = {
        "verbosity": gettext_noop("how much is written: 0 little, 1 as usual, 2 or 3 more"),
        "traceback": gettext_noop("show the stack trace of an error"),
        **dict.fromkeys(
            ("version", "settings", "pythonpath", "no_color", "force_color", "skip_checks"),
            SUPPRESS,
        ),
    }

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.description = _(self.help)
        for flag, text in self.flags.items():
            parser.add_argument(flag, action="store_true", help=_(text))
        for action in parser._actions:
            if action.dest in self.inherited:
                action.help = _(self.inherited[action.dest])
            if action.nargs != 0 and not action.metavar:
                action.metavar = "|".join(map(str, action.choices or [_("VALUE")]))
        return parser

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return self._execute(*args, **options)
        except SystemCheckError:
            raise
        except CommandError as error:
            if not getattr(self, "_called_from_command_line", False) or options["traceback"]:
                raise
            self.stderr.write(as_typed_here(str(error)))
            sys.exit(error.returncode)

    def _execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except TransferError as error:
            raise CommandError("\n".join(explain(error))) from error
        except ValidationError as error:
            raise UsageError("\n".join(error.messages)) from error
        except DatabaseError as error:
            cause = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise CommandError(
                _("Data Transfer's own database failed: %(cause)s") % {"cause": cause}
            ) from error

    def say(self, sentence: str, **params: object) -> None:
        """Writes a sentence; `params` fill it."""
        self.stdout.write(sentence % params)

    def say_json(self, **fields: object) -> None:
        self.stdout.write(json.dumps(fields, ensure_ascii=False, default=str))


class TaskCommand(Command):
    """A command about the tasks that its arguments name: a kind, and a bonus server or all."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "task",
            choices=[*settings.KINDS, "all", *MAINTENANCE],
            help=_("a transfer, all transfers, or a task of maintenance"),
        )
        add_server(parser)

    def tasks(self, *, task: str, server: str | None, **options: Any) -> list[ScheduledTask]:
        """Raises UsageError when there is none."""
        if task in MAINTENANCE:
            if server is not None:
                raise UsageError(_("This task belongs to no server."))
            return [MaintenanceTask.objects.get(kind=task)]
        tasks = TransferTask.objects.filter(server__in=servers_named(server))
        tasks = tasks.select_related("server")
        return list(tasks if task == "all" else tasks.filter(kind=task))


def add_server(parser: ArgumentParser, text: str = "") -> None:
    """`text` says of what, where it is not whose tasks."""
    text = text or _("of one bonus server only; without it, of all")
    parser.add_argument("--server", metavar=_("NUMBER|NAME"), help=text)


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """The type of an argument. It refuses anything else in the user's language."""

    def number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ArgumentTypeError(
                _("a whole number from %(least)s to %(most)s") % {"least": least, "most": most}
            )
        return int(text)

    return number


def with_zone(at: datetime) -> str:
    """A time in the zone of schedules."""
    return f"{at.astimezone(Settings.load().zone):%Y-%m-%d %H:%M %Z}"


def servers_named(name: str | None) -> list[BonusServer]:
    """The server with this number or name, or all of them without one.

    Raises UsageError when there is none, or two.
    """
    servers = list(BonusServer.objects.all())
    if not servers:
        raise UsageError(_("No bonus server is docked. Run: manage.py add_bonus_server"))
    if name is None:
        return servers
    chosen = [server for server in servers if name in (str(server.pk), server.name)]
    if len(chosen) != 1:
        problem = _("No bonus server %(name)s. There are: %(known)s")
        if chosen:
            problem = _(
                "%(name)s is one bonus server's number and another's name. There are: %(known)s"
            )
        known = ", ".join(f"{server.pk} ({server.name})" for server in servers)
        raise UsageError(problem, name=name, known=known)
    return chosen
