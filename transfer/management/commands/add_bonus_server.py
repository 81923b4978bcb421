from argparse import ArgumentParser
from typing import Any

import psycopg2
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.utils.translation import gettext
from psycopg2.extensions import parse_dsn

from transfer.errors import gettext_noop
from transfer.management.command import USAGE
from transfer.management.command import Command as BaseCommand
from transfer.models import BonusServer


class Command(BaseCommand):
    help = gettext_noop("Docks a bonus server and creates its three tasks, disabled.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", required=True)
        parser.add_argument("--host", required=True)
        parser.add_argument("--admin-port", type=int, default=7770)
        parser.add_argument("--work-port", type=int, default=7771)
        parser.add_argument(
            "--database-url", required=True, metavar="postgresql://user:password@host/name"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        server = BonusServer(
            name=options["name"],
            host=options["host"],
            admin_port=options["admin_port"],
            work_port=options["work_port"],
            **database_fields(options["database_url"]),
        )
        try:
            server.full_clean()
        except ValidationError as error:
            problems = [
                f"{field}: {' '.join(messages)}" for field, messages in error.message_dict.items()
            ]
            raise CommandError("\n".join(problems), returncode=USAGE) from error
        server.dock()
        self.say(
            gettext_noop("Bonus server %(id)s, %(name)s, is docked. Its three tasks are disabled."),
            id=server.pk,
            name=server.name,
        )


def database_fields(url: str) -> dict[str, Any]:
    """The fields of a BonusServer that a libpq URL fills. Raises CommandError, without the URL."""
    try:
        parts = parse_dsn(url)
    except psycopg2.ProgrammingError:
        raise CommandError(
            gettext(
                "--database-url is not a PostgreSQL URL such as postgresql://user:password@host/name"
            ),
            returncode=USAGE,
        ) from None
    fields = {
        "db_host": parts.pop("host", ""),
        "db_port": int(parts.pop("port", 5432)),
        "db_name": parts.pop("dbname", ""),
        "db_user": parts.pop("user", ""),
        "db_password": parts.pop("password", ""),
        "db_sslmode": parts.pop("sslmode", BonusServer.SSLMode.PREFER),
    }
    if parts:
        raise CommandError(
            gettext("--database-url: the option %(option)s is not supported.")
            % {"option": ", ".join(parts)},
            returncode=USAGE,
        )
    return fields
