from typing import Any, Self

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from transfer.errors import TransferError
from transfer.models.servers import BonusServer
from transfer.models.tasks import KindChoices, TransferTask
from transfer.position import Position, Totals


class State(models.TextChoices):
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    SUCCEEDED = "succeeded", _("Succeeded")
    REJECTS = "rejects", _("Succeeded with rejects")
    FAILED = "failed", _("Failed")
    SKIPPED = "skipped", _("Skipped")
    CANCELLED = "cancelled", _("Cancelled")
    INTERRUPTED = "interrupted", _("Interrupted")


OPEN_STATES = [State.QUEUED, State.RUNNING]


class AmountField(models.DecimalField):
    """A sum of balance changes. Staged amounts have no bound before the checks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max_digits": 1000, "decimal_places": 2, **kwargs})

    def db_type(self, connection: Any) -> str:
        return "numeric"


class TransferRunQuerySet(models.QuerySet["TransferRun"]):
    def open(self) -> Self:
        return self.filter(state__in=OPEN_STATES)

    def running(self) -> Self:
        return self.filter(state=State.RUNNING)

    def begun(self) -> Self:
        """Those that know where they started from."""
        return self.filter(position_from__isnull=False)


class TransferRun(models.Model):
    """One execution of a transfer task: what it moved, and how it ended."""

    class Trigger(models.TextChoices):
        SCHEDULE = "schedule", _("Schedule")
        MANUAL = "manual", _("By hand")
        COMMAND = "command", _("Command line")

    task = models.ForeignKey(
        TransferTask, on_delete=models.SET_NULL, null=True, related_name="runs"
    )
    server = models.ForeignKey(
        BonusServer, on_delete=models.SET_NULL, null=True, related_name="runs"
    )
    # What the history still says when the server is gone.
    server_name = models.CharField(_("bonus server"), max_length=100)
    kind = models.CharField(_("transfer"), max_length=10, choices=KindChoices)
    trigger = models.CharField(_("started by"), max_length=10, choices=Trigger)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.QUEUED)
    queued_at = models.DateTimeField(_("queued at"), default=timezone.now)
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    expected = models.BigIntegerField(_("rows to move"), default=0)
    applied = models.BigIntegerField(_("applied"), default=0)
    unchanged = models.BigIntegerField(_("unchanged"), default=0)
    rejected = models.BigIntegerField(_("rejected"), default=0)
    read = models.GeneratedField(
        expression=models.F("applied") + models.F("unchanged") + models.F("rejected"),
        output_field=models.BigIntegerField(_("read")),
        db_persist=True,
    )
    waiting = models.BigIntegerField(_("waiting"), default=0)
    chunks = models.IntegerField(_("chunks"), default=0)
    amount_applied = AmountField(_("sum applied"), default=0)
    amount_rejected = AmountField(_("sum rejected"), default=0)

    position_from = models.JSONField(null=True)
    position_to = models.JSONField(null=True)
    error_code = models.CharField(max_length=40, blank=True)
    error_params = models.JSONField(default=dict)
    error_technical = models.TextField(blank=True)

    objects = TransferRunQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        constraints = [
            models.UniqueConstraint(
                "task",
                condition=models.Q(state__in=OPEN_STATES),
                name="one_open_run_per_task",
            )
        ]

    def __str__(self) -> str:
        return f"{self.pk}: {self.get_kind_display()} → {self.server_name}"

    @property
    def totals(self) -> Totals:
        return Totals(
            self.applied, self.unchanged, self.rejected, self.amount_applied, self.amount_rejected
        )

    @totals.setter
    def totals(self, totals: Totals) -> None:
        self.applied = totals.applied
        self.unchanged = totals.unchanged
        self.rejected = totals.rejected
        self.amount_applied = totals.amount_applied
        self.amount_rejected = totals.amount_rejected

    @classmethod
    def of(cls, task: TransferTask, trigger: Trigger, actor: Any = None) -> Self:
        """A new run of the task, not saved."""
        return cls(
            task=task,
            server=task.server,
            server_name=task.server.name,
            kind=task.kind,
            trigger=trigger,
            actor=actor,
        )

    def start(self) -> None:
        """From here on the run is executed; whoever calls holds the task's lock.

        Raises IntegrityError when the run is new and the task has another open one.
        """
        self.state, self.started_at = State.RUNNING, timezone.now()
        with transaction.atomic():
            self.save()

    def begin(self, position: Position, expected: int) -> None:
        """Notes where the run starts, and how many rows it found to move."""
        self.position_from = self.position_to = position.as_json()
        self.expected = expected
        self.save(update_fields=["position_from", "position_to", "expected"])

    def add_chunk(self, gained: Totals, after: Position) -> None:
        """Counts a chunk that has landed."""
        self.totals = self.totals + gained
        self.chunks += 1
        self.position_to = after.as_json()
        self.save(update_fields=[*COUNTS, "chunks", "position_to"])

    def settle(self, position: Position) -> None:
        """Puts the counts right by the position that the next run found.

        A killed run may have moved a chunk that it could not count any more.
        """
        if self.position_from is None or self.position_to == position.as_json():
            return
        before = Position.from_json(self.position_from)
        if before.origin == position.origin:
            self.totals = position.totals - before.totals
            self.position_to = position.as_json()
            self.save(update_fields=[*COUNTS, "position_to"])

    def count_reasons(self) -> dict[str, int]:
        """Check code → rows of this run that failed it."""
        counted = self.rejects.values_list("code").annotate(models.Count("pk"))
        return dict(counted.order_by("code"))

    def is_still_mine(self) -> bool:
        """Whether nobody has closed the run meanwhile."""
        return type(self).objects.running().filter(pk=self.pk).exists()

    def finish(self, state: State, waiting: int = 0, error: TransferError | None = None) -> None:
        """Closes the run, unless somebody has closed it already."""
        self.state, self.waiting, self.finished_at = state, waiting, timezone.now()
        fields = {"state": state, "waiting": waiting, "finished_at": self.finished_at}
        if error is not None:
            self.error_code, self.error_params = error.code, error.params
            self.error_technical = error.technical
            fields |= {
                "error_code": error.code,
                "error_params": error.params,
                "error_technical": error.technical,
            }
        type(self).objects.open().filter(pk=self.pk).update(**fields)


COUNTS = ["applied", "unchanged", "rejected", "amount_applied", "amount_rejected"]
