from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TransferConfig(AppConfig):
    name = "transfer"
    verbose_name = "Data Transfer"

    def ready(self) -> None:
        from transfer.access import create_groups

        post_migrate.connect(create_groups, sender=self)
