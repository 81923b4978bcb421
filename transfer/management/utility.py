"""The command line as a whole: its help, its version, and commands that do not exist."""

import gc
import sys

from django.conf import settings
from django.core.management import ManagementUtility, get_commands, load_command_class
from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _

from transfer.installed import version
from transfer.text.commands import as_typed_here

USAGE = 2  # as the commands exit when they are called wrongly


class Utility(ManagementUtility):
    """Django's, which lists the commands of this product instead of Django's own."""

    def execute(self) -> None:
        if self.argv[1:] in (["--version"], ["version"]):
            sys.stdout.write(f"Data Transfer {version()}\n")
        else:
            super().execute()

    def main_help_text(self, commands_only: bool = False) -> str:
        """Each command with the first sentence of its help; the names alone with `commands_only`.

        Raises ImproperlyConfigured.
        """
        if self.settings_exception:
            raise self.settings_exception
        if commands_only:
            return str(super().main_help_text(commands_only))
        ours = sorted(name for name, app in get_commands().items() if app == "transfer")
        width = max(map(len, ours))
        lines = []
        for name in ours:
            first, _dot, _rest = _(load_command_class("transfer", name).help).partition(". ")
            lines.append(f"  {name:{width}}  {first.rstrip('.')}.")
        more = _("More about one: manage.py help COMMAND. All names: manage.py help --commands")
        return "\n".join([f"Data Transfer {version()}", "", *lines, "", as_typed_here(more)])

    def fetch_command(self, subcommand: str) -> BaseCommand:
        """Loads the command, then enables garbage collection.

        Raises SystemExit with the code of wrong usage when there is no such command.
        """
        if settings.configured and settings.PACKAGED:
            self.prog_name = "dtadmin"
        try:
            return super().fetch_command(subcommand)
        except SystemExit as end:
            raise SystemExit(USAGE) from end
        finally:
            gc.freeze()
            gc.enable()
