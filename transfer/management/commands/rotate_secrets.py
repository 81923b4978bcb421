from contextlib import suppress
from typing import Any

from cryptography.fernet import InvalidToken
from django.core.management.base import CommandError
from django.db import transaction
from django.utils.translation import gettext as _, gettext_noop, ngettext

from transfer.management.command import Command as BaseCommand
from transfer.models import (
    Actor,
    AuditEntry,
    BonusServer,
    IssuedSecret,
    Recipient,
    Settings,
    UploadPiece,
    second_factors,
)
from transfer.models.secret import cipher, secret_names

WithOwner = BonusServer | IssuedSecret | Recipient


class Command(BaseCommand):
    help = gettext_noop(
        "Encrypts all stored secrets with the present SECRET_KEY. To change the key: put the old "
        "one into SECRET_KEY_FALLBACKS and the new one into SECRET_KEY, restart, run this, then "
        "take the old one out."
    )
    flags = {"--dry-run": gettext_noop("only look whether all of them can be read")}

    @transaction.atomic
    def handle(self, *, dry_run: bool, **options: Any) -> None:
        servers = BonusServer.objects.select_for_update()
        issued = IssuedSecret.objects.select_for_update(of=("self",)).select_related("job__server")
        recipients = Recipient.objects.select_for_update()
        rows: list[WithOwner] = [*servers, *issued, *recipients]
        factors = list(second_factors.encrypted())
        unreadable = {owner(row) for row in rows if not row.is_readable} | {
            one.user.get_username() for one in factors if not second_factors.is_readable(one)
        }
        if unreadable:
            raise CommandError(
                _(
                    "The secrets of %(servers)s can't be read with SECRET_KEY or "
                    "SECRET_KEY_FALLBACKS. Nothing was changed."
                )
                % {"servers": ", ".join(sorted(unreadable))}
            )
        if not dry_run:
            for row in rows:
                row.save(update_fields=secret_names(row))
            for one in factors:
                second_factors.encrypt_again(one)
            # What is not confirmed yet; what no key decrypts expires within a week.
            for piece in UploadPiece.objects.select_for_update().iterator(chunk_size=1):
                with suppress(InvalidToken):
                    piece.content = cipher().encrypt(cipher().decrypt(bytes(piece.content)))
                    piece.save(update_fields=["content"])
            AuditEntry.record(
                Actor.at_command_line(),
                AuditEntry.Action.SECRETS,
                Settings.load(),
                new={"secrets": len(rows) + len(factors)},
            )
        self.say(report(len(servers), dry_run=dry_run), n=len(servers))


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


def owner(row: WithOwner) -> str:
    """The owners of the secrets, by name."""
    return row.job.server.name if isinstance(row, IssuedSecret) else row.name
