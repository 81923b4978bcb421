from django.db import models
from django.utils.translation import gettext as _, gettext_lazy

from transfer.engine.kinds import BALANCES, CARDS, KINDS, PINCODES, Kind
from transfer.models.schedules import ScheduledTask
from transfer.models.servers import BonusServer
from transfer.queue.locks import Space


class KindChoices(models.TextChoices):
    PINCODES = PINCODES.name, gettext_lazy("PIN codes")
    BALANCES = BALANCES.name, gettext_lazy("Balance changes")
    CARDS = CARDS.name, gettext_lazy("Card links and statuses")


class TransferTask(ScheduledTask):
    """One kind of transfer to one bonus server."""

    LOCK_SPACE = Space.TRANSFER_TASK

    server = models.ForeignKey(
        BonusServer,
        on_delete=models.CASCADE,
        related_name="tasks",
        verbose_name=gettext_lazy("bonus server"),
    )
    kind = models.CharField(gettext_lazy("transfer"), max_length=10, choices=KindChoices)

    class Meta:
        ordering = ["server__name", "kind"]
        verbose_name = gettext_lazy("transfer task")
        verbose_name_plural = gettext_lazy("transfer tasks")
        constraints = [
            models.UniqueConstraint("server", "kind", name="one_task_per_server_and_kind")
        ]

    def __str__(self) -> str:
        return _("%(kind)s → %(server)s") % {
            "kind": self.get_kind_display(),
            "server": self.server,
        }

    def audit_params(self) -> dict[str, str]:
        return {"kind": self.kind, "server": self.server.name}

    @property
    def moves(self) -> Kind:
        return KINDS[self.kind]
