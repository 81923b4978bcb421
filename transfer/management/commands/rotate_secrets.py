from contextlib import suppress
from typing import Any

from cryptography.fernet import InvalidToken
from django.core.management.base import CommandError
from django.db import transaction
from django.utils.translation import gettext as _, gettext_noop, ngettext

from transfer.management.command import Command as BaseCommand
from transfer.models import BonusServer, IssuedSecret, Recipient, UploadPiece
from transfer.models.pieces import cipher
from transfer.models.secret import secret_names


class Command(BaseCommand):
    help = gettext_noop(
        "Encrypts all stored secrets with the present SECRET_KEY. To change the key: put the old "
        "one into SECRET_KEY_FALLBACKS and the new one into SECRET_KEY, restart, run this, then "
        "take the old one out."
    )
    flags = {"--dry-run": gettext_noop("only look whether all of them can be read")}

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        servers = list(BonusServer.objects.select_for_update())
        issued = list(
            IssuedSecret.objects.select_for_update(of=("self",)).select_related("job__server")
        )
        recipients = list(Recipient.objects.select_for_update())
        if unreadable := unreadable_owners(servers, issued, recipients):
            raise CommandError(
                _(
                    "With neither SECRET_KEY nor SECRET_KEY_FALLBACKS can the secrets of "
                    "%(servers)s be read. Nothing was changed."
                )
                % {"servers": ", ".join(unreadable)}
            )
        if not options["dry_run"]:
            for one in (*servers, *issued, *recipients):
                one.save(update_fields=secret_names(one))
            encrypt_files()
        self.say(report(len(servers), dry_run=options["dry_run"]), n=len(servers))


def report(n: int, *, dry_run: bool) -> str:
    if dry_run:
        return ngettext(
            "The secrets of %(n)s bonus server can be read.",
            "The secrets of %(n)s bonus servers can be read.",
            n,
        )
    return ngettext(
        "The secrets of %(n)s bonus server are encrypted with SECRET_KEY.",
        "The secrets of %(n)s bonus servers are encrypted with SECRET_KEY.",
        n,
    )


def encrypt_files() -> None:
    """What nobody has confirmed yet; one that no key reads expires within a day."""
    for piece in UploadPiece.objects.select_for_update().iterator(chunk_size=1):
        with suppress(InvalidToken):
            piece.content = cipher().encrypt(cipher().decrypt(bytes(piece.content)))
            piece.save(update_fields=["content"])


def unreadable_owners(
    servers: list[BonusServer], issued: list[IssuedSecret], recipients: list[Recipient]
) -> list[str]:
    """The names of those that have a secret which no key decrypts."""
    named: list[BonusServer | Recipient] = [*servers, *recipients]
    own = [one.name for one in named if not one.is_readable]
    registers = [secret.job.server.name for secret in issued if not secret.is_readable]
    return sorted({*own, *registers})
