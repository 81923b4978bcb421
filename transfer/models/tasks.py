from typing import Any

from django.apps import apps as current_apps
from django.db import models
from django.utils.translation import gettext as _, gettext_lazy, ngettext

from transfer.engine.kind import Kind
from transfer.engine.kinds import BALANCES, CARDS, KINDS, PINCODES
from transfer.installed import installed_kinds
from transfer.models.failing import Failing
from transfer.models.schedules import ScheduledTask
from transfer.models.servers import BonusServer
from transfer.queue.locks import Space


class KindChoices(models.TextChoices):
    PINCODES = PINCODES.name, gettext_lazy("PIN codes")
    BALANCES = BALANCES.name, gettext_lazy("Balance changes")
    CARDS = CARDS.name, gettext_lazy("Card links and statuses")

    def counted(self, n: int) -> str:
        """Return the words for n rows, with places for `n` and `amount`."""
        words = {
            KindChoices.PINCODES: ngettext("%(n)s PIN code", "%(n)s PIN codes", n),
            KindChoices.BALANCES: ngettext(
                "%(n)s change of the balance, %(amount)s",
                "%(n)s changes of the balance, %(amount)s",
                n,
            ),
            KindChoices.CARDS: ngettext("%(n)s change of a card", "%(n)s changes of cards", n),
        }
        return words[self]


def create_transfer_tasks(sender: Any, using: str, apps: Any = current_apps, **kwargs: Any) -> None:
    """Makes a task of each kind for each docked server after every `migrate`, where it is missing.

    A new version may bring a kind. The task is off.
    """
    try:
        servers = apps.get_model("transfer", "BonusServer").objects.using(using)
        tasks = apps.get_model("transfer", "TransferTask").objects.using(using)
    except LookupError:  # migrated to a point before them
        return
    for server in servers.all():
        for kind in KINDS:
            tasks.get_or_create(server=server, kind=kind)


class OfKind:
    """What belongs to one kind of transfer."""

    kind: str

    @property
    def kind_spec(self) -> Kind:
        """The kind, for what concerns shop All."""
        return installed_kinds()[self.kind]


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
    # The version of the position whose rejects our database has: see `rejects/mirror`.
    mirrored_version = models.UUIDField(null=True, editable=False)
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
