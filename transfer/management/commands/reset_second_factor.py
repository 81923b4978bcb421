from argparse import ArgumentParser
from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.management.command import Command as BaseCommand, UsageError
from transfer.models import Actor, User


class Command(BaseCommand):
    help = gettext_noop(
        "Removes the second factors of a user who has lost them, and ends all sessions. The next "
        "log-in asks for the password alone."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("login", metavar=_("LOGIN"), help=_("the user's name"))

    def handle(self, *, login: str, **options: Any) -> None:
        user = User.objects.filter(username=login).first()
        if user is None:
            raise UsageError(_("There is no user “%(login)s”."), login=login)
        user.reset_second_factor(Actor.at_command_line())
        self.say(_("The second factor of %(login)s is reset."), login=login)
