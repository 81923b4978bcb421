"""Docks a bonus server that the command line describes."""

from typing import Any

import psycopg2
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from psycopg2.extensions import parse_dsn

from transfer.engine.postgres.connection import SCRAM
from transfer.management.command import UsageError
from transfer.models import Actor, AuditEntry, BonusServer
from transfer.servers.stages import ADDRESS

NOTED = ("name", *ADDRESS, "db_password", "db_sslmode", "db_any_auth")


def check_fields(server: BonusServer) -> None:
    """Raises UsageError, which names each wrong field."""
    try:
        server.full_clean()
    except ValidationError as error:
        problems = error.message_dict.items()
        lines = [f"{field}: {' '.join(sentences)}" for field, sentences in problems]
        raise UsageError("\n".join(lines)) from error


@transaction.atomic
def dock(server: BonusServer) -> None:
    """Saves the server with its tasks, and writes the audit."""
    server.dock()
    new = {name: getattr(server, name) for name in NOTED}
    AuditEntry.record(Actor.at_command_line(), AuditEntry.Action.CREATE, server, new=new)


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
