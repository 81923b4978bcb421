from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TransferConfig(AppConfig):
    name = "transfer"
    verbose_name = "Data Transfer"

    def ready(self) -> None:
        from transfer import models
        from transfer.access import create_groups
        from transfer.alerts import send
        from transfer.loading import upload_job
        from transfer.queue.jobs import WORK
        from transfer.runs.execute import execute_queued
        from transfer.runs.maintenance import execute_maintenance
        from transfer.servers import account_job

        post_migrate.connect(create_groups, sender=self)
        WORK.update(
            {
                models.TransferRun: execute_queued,
                models.MaintenanceRun: execute_maintenance,
                models.Upload: upload_job.work,
                models.AccountJob: account_job.work,
                models.Notice: send.deliver,
            }
        )
