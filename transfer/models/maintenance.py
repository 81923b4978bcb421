from typing import Any, ClassVar, Self

from django.apps import apps as current_apps
from django.db import models
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models.run_base import GOOD_STATES, OPEN_STATES, Run, RunQuerySet, Trigger
from transfer.models.schedules import ScheduledTask
from transfer.queue.locks import Space


class MaintenanceTask(ScheduledTask):
    """What keeps the installation tidy, on the same page as the transfers."""

    LOCK_SPACE = Space.MAINTENANCE_TASK

    class Kind(models.TextChoices):
        CHECK_CONNECTIONS = "check_connections", gettext_lazy("Check the connections")
        PURGE_HISTORY = "purge_history", gettext_lazy("Purge the history")
        PURGE_STAGING = "purge_staging", gettext_lazy("Purge the staging tables")
        RECONCILE = "reconcile", gettext_lazy("Reconcile")
        STATEMENT = "statement", gettext_lazy("Make the statement of the month")

    REMOVING: ClassVar[list[str]] = [Kind.PURGE_HISTORY, Kind.PURGE_STAGING]

    kind = models.CharField(max_length=20, choices=Kind, unique=True)

    class Meta:
        ordering = ["kind"]
        verbose_name = gettext_lazy("maintenance task")

    def __str__(self) -> str:
        return str(self.get_kind_display())

    def audit_params(self) -> dict[str, str]:
        return {"kind": self.kind}

    @property
    def removes(self) -> bool:
        """Whether it removes something, so that a dry run tells what."""
        return self.kind in self.REMOVING


# Our own history may go by itself. Rows of head office's tables only on request.
AT_FIRST = {
    MaintenanceTask.Kind.CHECK_CONNECTIONS: {"enabled": True, "schedule": "* * * * *"},
    MaintenanceTask.Kind.PURGE_HISTORY: {"enabled": True, "schedule": "30 3 * * *"},
    MaintenanceTask.Kind.PURGE_STAGING: {"enabled": False, "schedule": "0 4 * * *"},
    MaintenanceTask.Kind.RECONCILE: {"enabled": True, "schedule": "0 5 * * *"},
    # Each day, so that a first of the month on which nothing ran is made up for.
    MaintenanceTask.Kind.STATEMENT: {"enabled": True, "schedule": "0 6 * * *"},
}


def create_maintenance_tasks(
    sender: Any, using: str, apps: Any = current_apps, **kwargs: Any
) -> None:
    """Makes a task of each kind after every `migrate`, where it is missing."""
    try:
        model = apps.get_model("transfer", "MaintenanceTask")
    except LookupError:  # migrated to a point before it
        return
    for kind, fields in AT_FIRST.items():
        model.objects.using(using).get_or_create(kind=kind, defaults=fields)


class MaintenanceRunQuerySet(RunQuerySet):
    def real(self) -> Self:
        return self.filter(dry_run=False)


class MaintenanceRun(Run):
    """One execution of a maintenance task."""

    URL_NAME = "maintenance_run"
    LOCK_SPACE = MaintenanceTask.LOCK_SPACE

    task = models.ForeignKey(
        MaintenanceTask, on_delete=models.SET_NULL, null=True, related_name="runs"
    )
    kind = models.CharField(
        gettext_lazy("maintenance"), max_length=20, choices=MaintenanceTask.Kind
    )
    # It counts what it would remove, and removes nothing.
    dry_run = models.BooleanField(default=False)
    # What was removed, by table, and which tasks kept staged rows back.
    report = models.JSONField(default=dict)

    objects = MaintenanceRunQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = gettext_lazy("maintenance run")
        constraints = [
            models.UniqueConstraint(
                "task",
                condition=models.Q(state__in=OPEN_STATES),
                name="one_open_run_per_maintenance",
            )
        ]
        indexes = [
            models.Index(fields=["task", "-id"], name="maintenance_of_a_task"),
            models.Index(
                fields=["task", "-id"],
                condition=models.Q(state__in=GOOD_STATES),
                name="good_maintenance_of_a_task",
            ),
            # The history, by any filter.
            models.Index(
                fields=["queued_at", "id", "kind", "state", "trigger", "actor"],
                name="maintenance_by_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk}: {self.get_kind_display()}"

    def audit_params(self) -> dict[str, str]:
        return {"kind": self.kind}

    @property
    def title(self) -> str:
        """What ran, in the reader's language."""
        what = str(self.get_kind_display())
        return _("%(task)s: dry run") % {"task": what} if self.dry_run else what

    @classmethod
    def of(
        cls, task: MaintenanceTask, trigger: Trigger, actor: Any = None, *, dry_run: bool = False
    ) -> Self:
        """A new run of the task, not saved."""
        return cls(task=task, kind=task.kind, trigger=trigger, actor=actor, dry_run=dry_run)

    @property
    def key(self) -> str:
        """A bare number means a run of a transfer."""
        return f"maintenance-{self.pk}"

    def note_in_task(self) -> None:
        if not self.dry_run:
            super().note_in_task()
