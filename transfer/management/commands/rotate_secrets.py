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
            issued = list(
                IssuedSecret.objects.select_for_update(of=("self",)).select_related("job__server")
            )
            unreadable = unreadable_servers(servers, issued)
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


def unreadable_servers(servers: list[BonusServer], issued: list[IssuedSecret]) -> list[str]:
    """The names of those that have a secret which no key decrypts."""
    own = [server.name for server in servers if not readable(server)]
    return sorted({*own, *(one.job.server.name for one in issued if not one.is_readable)})


def readable(server: BonusServer) -> bool:
    try:
        server.check_secrets()
    except TransferError:
        return False
    return True
