from django.db import models
from django.utils.translation import gettext_lazy

from transfer.models.failing import Failing
from transfer.models.tasks import TransferTask


class TaskBacklog(Failing):
    """What waited for a transfer task when its databases were last asked, or why they were silent.

    A job asks each minute, so that the tick and /health need not wait for other databases.
    """

    task = models.OneToOneField(
        TransferTask, on_delete=models.CASCADE, primary_key=True, related_name="stored_backlog"
    )
    rows = models.BigIntegerField(null=True)  # null: not known
    at_least = models.BigIntegerField(null=True)  # then, as far as history knows
    oldest = models.DateTimeField(null=True)
    writing_since = models.DateTimeField(null=True)
    asked_at = models.DateTimeField()

    class Meta:
        verbose_name = gettext_lazy("backlog of a task")

    def __str__(self) -> str:
        return f"{self.task_id}: {self.rows}"
