from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _, gettext_noop

from transfer.engine.staging import Staging
from transfer.management.command import Command as BaseCommand


class Command(BaseCommand):
    help = gettext_noop(
        "Creates the staging tables of shop All, or adds to existing ones what is missing. "
        "Rows are kept; running it again changes nothing."
    )
    requires_migrations_checks = False  # it needs no database of ours

    def handle(self, *args: Any, **options: Any) -> None:
        with Staging(settings.SHOP_ALL_DATABASE_URL, "init_shop_all") as staging:
            for step in staging.initialise():
                self.say(_(step.sentence), **step.params)
