"""What all commands share: language, arguments, exit codes, and failures in a sentence."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser, SystemCheckError
from django.db import DatabaseError
from django.utils.translation import gettext as _, gettext_noop

from transfer.causes.installation import DOCTOR_MADE_BEFORE
from transfer.doctor.schema import our_unknown_migrations, refusal
from transfer.errors import TransferError
from transfer.models import BonusServer, Settings
from transfer.text.commands import as_typed_here
from transfer.text.explain import explain

FAILED, USAGE, ALREADY_RUNNING, NO_DATABASE = 1, 2, 3, 4
INTERRUPTED = 130
YES = {"y", "yes", "д", "да"}
# The flag of commands and subcommands that ask before they change anything; see `confirm`.
UNASKED = {"--yes": gettext_noop("do not ask; needed with --json, and without a terminal")}


class UsageError(CommandError):
    """The command was called wrongly; `params` fill the sentence."""

    def __init__(self, sentence: str, **params: object) -> None:
        super().__init__(sentence % params if params else sentence, returncode=USAGE)


class Command(BaseCommand):
    """A command whose failures are a sentence and a hint in the user's language."""

    requires_migrations_checks = True
    # Django's checks import every page, and look only at the code: `doctor` runs them.
    requires_system_checks = ()
    # Options that no administrator needs. They work, and the help leaves them out.
    suppressed_base_arguments: set[str] = {
        *("--version", "--settings", "--pythonpath", "--no-color", "--force-color"),
        *("--skip-checks", "--verbosity", "--traceback"),
    }
    flags: dict[str, str] = {}  # options without a value, and what they do
    # Whether it is a service of the product, which does not start on the tables of a newer version.
    is_service = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.description = _(self.help)
        add_flags(parser, self.flags)
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
            if self.is_service or self.requires_migrations_checks:
                self._refuse_another_version()
            return super().execute(*args, **options)
        except TransferError as error:
            lines = [*explain(error)]
            if error.technical:
                lines.append(f"({error.technical})")
            raise CommandError("\n".join(lines)) from error
        except ValidationError as error:
            raise UsageError("\n".join(error.messages)) from error
        except DatabaseError as error:
            cause = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise CommandError(
                _("Data Transfer's own database failed: %(cause)s") % {"cause": cause}
            ) from error

    def _refuse_another_version(self) -> None:
        """Raises DOCTOR_MADE_BEFORE; DOCTOR_NEWER_SCHEMA for a service; django.db.Error."""
        if unknown := our_unknown_migrations():
            error = refusal(unknown)
            if self.is_service or error.cause is DOCTOR_MADE_BEFORE:
                raise error

    def say(self, sentence: str, /, **params: object) -> None:
        """Writes a sentence; `params` fill it. Commands in it fit this installation."""
        self.stdout.write(as_typed_here(sentence) % params)

    def say_json(self, **fields: object) -> None:
        self.stdout.write(json.dumps(fields, ensure_ascii=False, default=str))


class Subcommand:
    """A subcommand, such as `pause` of `manage.py task pause`.

    Each has `--json`: one object on one line for each thing that it lists or changes.
    """

    help: ClassVar[str]
    flags: ClassVar[dict[str, str]] = {}

    def __init__(self, command: Command) -> None:
        self.say, self.say_json = command.say, command.say_json

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        """Adds the arguments of this subcommand alone."""

    def handle(self, *args: Any, **options: Any) -> None:
        raise NotImplementedError


class CommandGroup(Command):
    """A command whose first argument names a subcommand."""

    subcommands: ClassVar[dict[str, type[Subcommand]]]

    def add_arguments(self, parser: ArgumentParser) -> None:
        parsers = parser.add_subparsers(dest="subcommand", required=True, metavar=_("ACTION"))
        for name, subcommand in self.subcommands.items():
            text = _(subcommand.help)
            one = parsers.add_parser(name, help=text, description=text)
            subcommand.add_arguments(one)
            json_too = {"--json": gettext_noop("one JSON object a line")}
            add_flags(one, {**subcommand.flags, **json_too})

    def handle(self, *, subcommand: str, **options: Any) -> None:
        self.subcommands[subcommand](self).handle(**options)


def add_flags(parser: ArgumentParser, flags: dict[str, str]) -> None:
    """Adds options without a value: their names and what they do."""
    for flag, text in flags.items():
        parser.add_argument(flag, action="store_true", help=_(text))


def add_server(parser: ArgumentParser) -> None:
    """Adds `--server`, which says whose tasks are meant."""
    text = _("of one bonus server only; without it, of all")
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


def typed(read: Callable[[str], str], question: str) -> str:
    """What the user types; `read` is `input` or `getpass`. Ctrl-C and Ctrl-D end the command."""
    try:
        return read(question)
    except (EOFError, KeyboardInterrupt):
        sys.exit(INTERRUPTED)


def agreed(question: str) -> bool:
    """Whether the user on the terminal answers yes. Anything else is no."""
    return typed(input, f"{question} [{_('y/N')}]: ").strip().lower() in YES


def confirm(question: str, unasked: str, *, yes: bool, json: bool) -> None:
    """Asks, unless `yes` is given.

    Raises UsageError with the sentence `unasked` where nobody can be asked; CommandError if the
    answer is no.
    """
    if yes:
        return
    if json or not sys.stdin.isatty():
        raise UsageError(unasked)
    if not agreed(question):
        raise CommandError(_("Nothing was changed."))


def with_zone(at: datetime) -> str:
    """A time in the zone of schedules."""
    return f"{at.astimezone(Settings.load().zone):%Y-%m-%d %H:%M %Z}"


def servers_named(name: str | None) -> list[BonusServer]:
    """The server with this number or name; all servers if `name` is None.

    Raises UsageError if no server, or more than one, has this number or name.
    """
    servers = list(BonusServer.objects.all())
    if not servers:
        raise UsageError(_("No bonus server is docked. Run: manage.py server add"))
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
