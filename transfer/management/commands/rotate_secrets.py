from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import transaction
from django.utils.translation import gettext, ngettext

from transfer.errors import TransferError, gettext_noop
from transfer.management.command import FAILED
from transfer.management.command import Command as BaseCommand
from transfer.models import BonusServer, IssuedSecret


class Command(BaseCommand):
    help = gettext_noop(
        "Encrypts all stored secrets with the present SECRET_KEY. To change the key: put the old "
        "one into SECRET_KEY_FALLBACKS and the new one into SECRET_KEY, restart, run this, then "
        "take the old one out."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        with transaction.atomic():
            servers = list(BonusServer.objects.select_for_update())
            unreadable = [server.name for server in servers if not readable(server)]
            if unreadable:
                raise CommandError(
                    gettext(
                        "With neither SECRET_KEY nor SECRET_KEY_FALLBACKS can the secrets of "
                        "%(servers)s be read. Nothing was changed."
                    )
                    % {"servers": ", ".join(unreadable)},
                    returncode=FAILED,
                )
            if not options["dry_run"]:
                for server in servers:
                    server.save(update_fields=BonusServer.secret_names())
                issued = list(IssuedSecret.objects.select_for_update())
                for one in issued:
                    one.save(update_fields=["secret"])
        said = ngettext(
            "The secrets of %(n)s bonus server are encrypted with SECRET_KEY.",
            "The secrets of %(n)s bonus servers are encrypted with SECRET_KEY.",
            len(servers),
        )
        if options["dry_run"]:
            said = ngettext(
                "The secrets of %(n)s bonus server can be read.",
                "The secrets of %(n)s bonus servers can be read.",
                len(servers),
            )
        self.stdout.write(said % {"n": len(servers)})


def readable(server: BonusServer) -> bool:
    try:
        server.check_secrets()
    except TransferError:
        return False
    return True
