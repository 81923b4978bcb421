import getpass
from typing import Any

from django.contrib.auth.management.commands.changepassword import Command as DjangoCommand
from django.db import transaction
from django.utils.translation import gettext_noop

from transfer.management.command import Command as BaseCommand
from transfer.models import Actor, AuditEntry, User


class Command(BaseCommand, DjangoCommand):
    """Django's command, which also notes the change in the audit."""

    help = gettext_noop("Asks for a user's new password. All sessions of the user end.")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> str | None:
        said: str | None = super().handle(*args, **options)
        user = User.objects.get(username=options["username"] or getpass.getuser())
        AuditEntry.record(Actor.at_command_line(), AuditEntry.Action.PASSWORD, user)
        return said
