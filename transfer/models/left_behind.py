from django.db import models
from django.utils.translation import gettext_lazy

from transfer.models.tasks import TransferTask


class LeftBehindQuerySet(models.QuerySet["LeftBehind"]):
    def servers(self) -> set[int]:
        """The keys of the bonus servers."""
        return set(self.order_by().values_list("task__server", flat=True))


class LeftBehind(models.Model):
    """A task whose position can't be read, and that purges do not wait for.

    It says what an administrator allows, and nothing else: a purge that can read the position waits
    for it. What the bonus server lacks then, its next run finds in the log of shop All.
    """

    task = models.OneToOneField(TransferTask, on_delete=models.CASCADE, related_name="left_behind")
    at = models.DateTimeField()
    by = models.CharField(max_length=200)  # a name: see `ScheduledTask`
    reason = models.CharField(max_length=500)
    # How many rows purges have removed since that it has not received, as a purge counted.
    missing = models.BigIntegerField(default=0)

    objects = LeftBehindQuerySet.as_manager()

    class Meta:
        ordering = ["task"]
        verbose_name = gettext_lazy("server left behind")

    def __str__(self) -> str:
        return str(self.task)
