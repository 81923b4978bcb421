import sys
from argparse import ArgumentParser
from typing import Any

import psycopg2
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _, gettext_noop
from psycopg2.extensions import parse_dsn

from transfer.engine.postgres.connect import SCRAM
from transfer.errors import TransferError
from transfer.management.command import Command as BaseCommand, UsageError
from transfer.models import Actor, AuditEntry, BonusServer
from transfer.runs.placing import QUESTIONS, RECEIVED, begin
from transfer.servers.stages import ADDRESS, STAGES, note_test, run_stage
from transfer.text.explain import explain

NOTED = ("name", *ADDRESS, "db_password", "db_sslmode", "db_any_auth")


class Command(BaseCommand):
    help = gettext_noop(
        "Docks a bonus server, creates its three tasks, disabled, tests the connection, and begins "
        "its positions: where rows are staged already, --received says which of them it has."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--name", required=True, help=_("as pages and commands call it"))
        add("--host", required=True, help=_("its name or address in the network"))
        add("--admin-port", type=int, default=7770, help=_("default: %(default)s"))
        add("--work-port", type=int, default=7771, help=_("default: %(default)s"))
        add(
            "--database-url",
            required=True,
            metavar="postgresql://user:password@host/name",
            help=_("its database; - reads it from standard input, where nobody else sees it"),
        )
        add(
            "--received",
            choices=[*RECEIVED],
            help=_(
                "what it has of the rows that are staged now; as-of-clone: it is a copy of another "
                "server, with our schema, and goes on from there"
            ),
        )

    def handle(self, *, database_url: str, received: str | None, **options: Any) -> None:
        url = sys.stdin.readline().strip() if database_url == "-" else database_url
        given = {name: options[name] for name in ("name", "host", "admin_port", "work_port")}
        server = BonusServer(**given, **database_fields(url))
        try:
            server.full_clean()
        except ValidationError as error:
            problems = error.message_dict.items()
            lines = [f"{field}: {' '.join(sentences)}" for field, sentences in problems]
            raise UsageError("\n".join(lines)) from error
        with transaction.atomic():
            server.dock()
            new = {name: getattr(server, name) for name in NOTED}
            AuditEntry.record(Actor.at_command_line(), AuditEntry.Action.CREATE, server, new=new)
        docked = _("Bonus server %(id)s, %(name)s, is docked. Its three tasks are disabled.")
        self.say(docked, id=server.pk, name=server.name)
        self.test(server)
        self.begin(server, received)

    def test(self, server: BonusServer) -> None:
        """Says, stage by stage, whether it can be reached; the token is entered on its page."""
        note_test(server, Actor.at_command_line())
        for stage in STAGES:
            result = run_stage(stage, server)
            lines = [f"{'✓' if result.ok else '✗'} {result.label}: {result.sentence}"]
            self.stdout.write("\n  ".join([*lines, *([result.hint] if result.hint else [])]))
            if not result.ok and (stage != "token" or server.api_token):
                return

    def begin(self, server: BonusServer, received: str | None) -> None:
        """Begins its positions, and says what has to be decided first.

        What else prevents it, the first run tries again; a decision that was given is not kept.
        """
        request = RECEIVED[received] if received else None
        for task in server.tasks.select_related("server"):
            try:
                begin(task, Actor.at_command_line(), request)
            except TransferError as error:
                is_question = isinstance(error, QUESTIONS)
                if request or is_question:
                    sentence, hint = explain(error)
                    self.stdout.write(f"{task}: {sentence}\n  {hint}")
                if not is_question:  # a database that does not answer would be waited for again
                    return


def database_fields(url: str) -> dict[str, Any]:
    """The fields of a BonusServer that a libpq URL fills. Raises UsageError, without the URL."""
    try:
        parts = parse_dsn(url)
    except psycopg2.ProgrammingError:
        raise UsageError(
            _("--database-url is not a PostgreSQL URL such as postgresql://user:password@host/name")
        ) from None
    port = parts.pop("port", "5432")
    if not (port.isascii() and port.isdecimal()):
        raise UsageError(_("--database-url: the port has to be one number."))
    fields = {
        "db_host": parts.pop("host", ""),
        "db_port": int(port),
        "db_name": parts.pop("dbname", ""),
        "db_user": parts.pop("user", ""),
        "db_password": parts.pop("password", ""),
        "db_sslmode": parts.pop("sslmode", BonusServer.SSLMode.PREFER),
        "db_any_auth": parts.pop("require_auth", SCRAM) != SCRAM,
    }
    if parts:
        raise UsageError(
            _("--database-url: the option %(option)s is not supported."), option=", ".join(parts)
        )
    return fields
