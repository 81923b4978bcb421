"""What every command of ours shares: one-line errors, tables, and a soft stop."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.translation import gettext

from transfer.errors import TransferError
from transfer.models import BonusServer
from transfer.words.explain import explain

FAILED, USAGE, ALREADY_RUNNING = 1, 2, 3


class Command(BaseCommand):
    """A command whose failures are a sentence and a hint, never a stack trace."""

    requires_migrations_checks = True

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except TransferError as error:
            raise CommandError(self.explained(error), returncode=FAILED) from error
        except DatabaseError as error:
            cause = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise CommandError(
                gettext("Data Transfer's own database failed: %(cause)s") % {"cause": cause},
                returncode=FAILED,
            ) from error

    def explained(self, error: TransferError) -> str:
        return "\n".join(explain(error))

    def say(self, sentence: str, **params: object) -> None:
        """Writes a message id in the user's language."""
        self.stdout.write(gettext(sentence) % params)

    def say_json(self, **fields: object) -> None:
        self.stdout.write(json.dumps(fields, ensure_ascii=False, default=str))


def servers_named(name: str | None) -> list[BonusServer]:
    """The server with this number or name, or all of them without one.

    Raises CommandError when there is none.
    """
    servers = list(BonusServer.objects.all())
    if not servers:
        raise CommandError(
            gettext("No bonus server is docked. Run: manage.py add_bonus_server"), returncode=USAGE
        )
    if name is None:
        return servers
    found = [server for server in servers if name in (str(server.pk), server.name)]
    if not found:
        known = ", ".join(f"{server.pk} ({server.name})" for server in servers)
        raise CommandError(
            gettext("No bonus server %(name)s. There are: %(known)s")
            % {"name": name, "known": known},
            returncode=USAGE,
        )
    return found
