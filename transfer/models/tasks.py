from uuid import UUID

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext as _, gettext_lazy

from transfer.engine.kind import Kind
from transfer.engine.kinds import BALANCES, CARDS, PINCODES
from transfer.engine.position import Position
from transfer.engine.shop_all.batches import Readers
from transfer.models.schedules import ScheduledTask
from transfer.models.servers import BonusServer
from transfer.queue.locks import Space


class KindChoices(models.TextChoices):
    PINCODES = PINCODES.name, gettext_lazy("PIN codes")
    BALANCES = BALANCES.name, gettext_lazy("Balance changes")
    CARDS = CARDS.name, gettext_lazy("Card links and statuses")


class OfKind:
    """What belongs to one kind of transfer."""

    kind: str

    @property
    def kind_spec(self) -> Kind:
        """The kind, for what concerns shop All."""
        return settings.KINDS[self.kind]


class TransferTask(ScheduledTask):
    """One kind of transfer to one bonus server."""

    LOCK_SPACE = Space.TRANSFER_TASK
    READS_ROWS = True

    server = models.ForeignKey(
        BonusServer,
        on_delete=models.CASCADE,
        related_name="tasks",
        verbose_name=gettext_lazy("bonus server"),
    )
    kind = models.CharField(gettext_lazy("transfer"), max_length=10, choices=KindChoices)
    # Who reads for this task, as shop All's log names it; the last one is the present one.
    readers = ArrayField(models.UUIDField(), default=list, editable=False)
    # The last reject of the present reader that our database knows.
    mirrored_number = models.BigIntegerField(default=0, editable=False)
    mirrored_token = models.UUIDField(null=True, editable=False)
    mirrored_at = models.DateTimeField(null=True, editable=False)
    # The last reconciliation, for the server's page: see runs/reconcile.py.
    reconciled = models.JSONField(null=True, editable=False)

    class Meta:
        ordering = ["server__name", "kind"]
        verbose_name = gettext_lazy("transfer task")
        verbose_name_plural = gettext_lazy("transfer tasks")
        constraints = [
            models.UniqueConstraint("server", "kind", name="one_task_per_server_and_kind")
        ]

    @property
    def kind_spec(self) -> Kind:
        """The kind with the tables of the task's server."""
        return self.server.kinds[self.kind]

    def __str__(self) -> str:
        names = {"kind": self.get_kind_display(), "server": self.server}
        return _("%(kind)s → %(server)s") % names

    def audit_params(self) -> dict[str, str]:
        return {"kind": self.kind, "server": self.server.name}

    @property
    def all_readers(self) -> Readers:
        """The readers that the log may name for this task, and for the others of its kind."""
        tasks = TransferTask.objects.filter(kind=self.kind).exclude(pk=self.pk).exclude(readers=[])
        listed = [*tasks.values_list("readers", "server__name")]
        others = [str(reader) for readers, _server in listed for reader in readers]
        in_use = {str(readers[-1]): server for readers, server in listed}
        return Readers(frozenset(map(str, self.readers)), frozenset(others), in_use=in_use)

    def has_recorded(self, position: Position) -> bool:
        """Whether the history, too, has the batch that the position names."""
        recorded: bool = self.runs.filter(
            position_to__origin=position.origin,
            position_to__reader=position.reader,
            position_to__number=position.number,
            position_to__token=position.token,
        ).exists()
        return recorded

    def remember_reader(self, reader: str | None) -> None:
        """Notes that this reader reads for the task: a lost position is then known to be lost."""
        if reader is not None and self.readers[-1:] != [UUID(reader)]:
            self.readers = [*(one for one in self.readers if str(one) != reader), UUID(reader)]
            self.mirrored_number, self.mirrored_token = 0, None
            self.save(update_fields=["readers", "mirrored_number", "mirrored_token"])
