from typing import Any

from django.contrib.auth.management.commands.createsuperuser import Command as DjangoCommand
from django.utils.translation import gettext_noop

from transfer.management.command import Command as BaseCommand
from transfer.models import User


class Command(BaseCommand, DjangoCommand):
    """Django's command, whose user is checked and noted by `Users.create_superuser`."""

    help = gettext_noop("Adds an administrator, and asks for the name and the password.")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.UserModel = User
