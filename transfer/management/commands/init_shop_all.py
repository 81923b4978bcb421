from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import CommandError
from django.utils.translation import gettext as _, gettext_noop

from transfer.management.command import Command as BaseCommand
from transfer.management.provision import (
    AdministratorNeeded,
    add_existing_rows,
    ensure_staging,
    note_staging,
    without_complete,
)


class Command(BaseCommand):
    help = gettext_noop(
        "Creates the staging tables of shop All, or adds what existing ones lack. It keeps all "
        "rows; running it again changes nothing. If a table has rows but lacks our columns, "
        "--existing-rows says whether these rows wait or were moved."
    )
    requires_migrations_checks = False  # it needs no database of ours

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_existing_rows(parser)

    def handle(self, *, existing_rows: str | None, **options: Any) -> None:
        try:
            steps = ensure_staging(settings.SHOP_ALL_DATABASE_URL, existing_rows=existing_rows)
        except AdministratorNeeded as needed:
            self.stdout.write(needed.script)
            sentence = _(
                "Let a superuser of that server run this SQL, then run init_shop_all again."
            )
            raise CommandError("\n".join([*needed.in_words(), sentence])) from None
        for step in steps:
            self.say(_(step.sentence), **step.params)
        if not note_staging(steps, existing_rows):
            self.stderr.write(
                _(
                    "This could not be noted in the audit: Data Transfer's own database does not "
                    "answer, or has no tables yet."
                )
            )
        if without_complete(steps):
            self.say(
                _(
                    "PIN codes can be read in the staging table until they are purged. Settings "
                    "say for how many days they are kept."
                )
            )
