from typing import Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from transfer.models.runs import TransferRun
from transfer.models.servers import BonusServer
from transfer.models.tasks import KindChoices


class RejectedRowQuerySet(models.QuerySet["RejectedRow"]):
    def of(self, run: TransferRun, origin: str) -> Self:
        """Those of the run's flow: its server, its kind, the same staging database."""
        return self.filter(server=run.server_id, kind=run.kind, origin=origin)

    def landed(self) -> Self:
        return self.filter(landed=True)

    def unlanded(self) -> Self:
        return self.filter(landed=False)

    def mark_landed(self, read: int) -> int:
        """Those of chunks that the position, which has read `read` rows, is past."""
        return self.unlanded().filter(chunk_start__lt=read).update(landed=True)


class RejectedRow(models.Model):
    """A staged row that did not pass the checks. It has fired: no run will read it again."""

    run = models.ForeignKey(
        TransferRun, on_delete=models.SET_NULL, null=True, related_name="rejects"
    )
    server = models.ForeignKey(
        BonusServer, on_delete=models.SET_NULL, null=True, related_name="rejects"
    )
    # What the history still says when the server is gone.
    server_name = models.CharField(_("bonus server"), max_length=100)
    kind = models.CharField(_("transfer"), max_length=10, choices=KindChoices)
    origin = models.UUIDField()
    staging_id = models.BigIntegerField(_("number in the staging table"))
    # Rows that the position had read before the row's chunk: the chunk's name. Until the position
    # is past it, the chunk may still be rolled back and be judged anew.
    chunk_start = models.BigIntegerField()
    landed = models.BooleanField(default=False)
    code = models.CharField(_("reason"), max_length=40)
    payload = models.JSONField(_("row as it came"))  # PIN codes masked, by the SQL of `kinds`
    created_at = models.DateTimeField(_("rejected at"), auto_now_add=True)

    objects = RejectedRowQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("rejected row")
        verbose_name_plural = _("rejected rows")
        constraints = [
            models.UniqueConstraint(
                "server", "kind", "origin", "staging_id", name="rejected_once_per_server"
            )
        ]
        indexes = [
            models.Index("run", name="rejects_of_run"),
            # `unlanded`, at every chunk.
            models.Index(
                "server", "kind", condition=models.Q(landed=False), name="rejects_not_landed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.staging_id}: {self.code}"
