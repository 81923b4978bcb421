from django.apps import AppConfig
from django.db.models.signals import post_migrate


class TransferConfig(AppConfig):
    name = "transfer"
    verbose_name = "Data Transfer"

    def ready(self) -> None:
        """Raises ImproperlyConfigured where the file of DTADMIN_TABLES is wrong."""
        from transfer import models
        from transfer.access import create_groups
        from transfer.installed import installed_tables
        from transfer.models.maintenance import create_maintenance_tasks
        from transfer.models.tasks import create_transfer_tasks
        from transfer.queue.jobs import WORK

        installed_tables()
        post_migrate.connect(create_groups, sender=self)
        post_migrate.connect(create_maintenance_tasks, sender=self)
        post_migrate.connect(create_transfer_tasks, sender=self)
        WORK.update(
            {
                models.TransferRun: "transfer.runs.execute.execute_queued",
                models.MaintenanceRun: "transfer.runs.maintenance.execute_maintenance",
                models.Upload: "transfer.loading.upload_job.work",
                models.AccountJob: "transfer.servers.account_job.work",
                models.Notice: "transfer.alerts.send.deliver",
                models.RecurringJob: "transfer.runs.recurring.work",
            }
        )
