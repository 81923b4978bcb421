"""Times in which a bonus server is worked on."""

from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models.audit import Actor, AuditEntry
from transfer.models.servers import BonusServer
from transfer.models.tasks import TransferTask


class PlannedWorkQuerySet(models.QuerySet["PlannedWork"]):
    def coming(self, now: datetime | None = None) -> Self:
        """Planned work that has not ended."""
        return self.filter(ends_at__gt=now or timezone.now())

    def under_way(self, now: datetime) -> Self:
        return self.coming(now).filter(begins_at__lte=now)


class PlannedWork(models.Model):
    """Planned work on a bonus server: meanwhile no messages about it are sent."""

    server = models.ForeignKey(
        BonusServer,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="planned_work",
        verbose_name=gettext_lazy("bonus server"),
        help_text=gettext_lazy("Empty: all of them."),
    )
    begins_at = models.DateTimeField(gettext_lazy("begins"))
    ends_at = models.DateTimeField(gettext_lazy("ends"))
    reason = models.CharField(gettext_lazy("what for"), max_length=500)
    stops = models.BooleanField(
        gettext_lazy("transfers stop meanwhile"),
        default=True,
        help_text=gettext_lazy("They are paused until the end. An open run goes on."),
    )
    by = models.CharField(max_length=200, editable=False)
    paused_at = models.DateTimeField(null=True, editable=False)

    objects = PlannedWorkQuerySet.as_manager()

    class Meta:
        ordering = ["begins_at"]
        verbose_name = gettext_lazy("planned work")
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("begins_at")),
                name="work_ends_after_it_begins",
                violation_error_message=gettext_lazy("It has to end after it begins."),
            )
        ]

    def __str__(self) -> str:
        return f"{self.server or '*'}: {self.reason}"

    def audit_params(self) -> dict[str, str]:
        return {"name": str(self.server or _("all bonus servers"))}

    @transaction.atomic
    def plan(self, actor: Actor) -> None:
        self.by = actor.name
        self.save()
        AuditEntry.record(actor, AuditEntry.Action.CREATE, self, reason=self.reason)

    def begin(self, actor: Actor) -> None:
        """Plans work that has begun already: its tasks are paused at once."""
        self.plan(actor)
        self.pause_tasks(self.begins_at)

    @transaction.atomic
    def pause_tasks(self, now: datetime) -> None:
        """Pauses the tasks once, when work has begun. A longer pause stays."""
        if not self.stops or not type(self).objects.filter(pk=self.pk, paused_at=None).update(
            paused_at=now
        ):
            return
        for task in self._tasks().enabled():
            if not task.is_paused(self.ends_at - timedelta(seconds=1)):
                task.pause(self.ends_at, Actor(self.by), reason=self.reason, now=now)

    @transaction.atomic
    def end(self, actor: Actor, now: datetime | None = None) -> None:
        """Ends the work early; if it has not begun, it is as if it had never been planned."""
        now = now or timezone.now()
        AuditEntry.record(actor, AuditEntry.Action.DELETE, self, reason=self.reason)
        for task in self._tasks().filter(paused_until=self.ends_at, pause_reason=self.reason):
            task.resume(actor)
        if self.begins_at < now:
            self.ends_at = now
            self.save(update_fields=["ends_at"])
        else:
            self.delete()

    def _tasks(self) -> Any:
        tasks = TransferTask.objects.select_related("server")
        return tasks if self.server is None else tasks.filter(server=self.server)
