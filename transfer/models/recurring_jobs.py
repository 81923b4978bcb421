"""Work that comes back every few minutes and waits for other databases."""

from datetime import timedelta
from typing import Any, Self

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy

from transfer.causes.runs import UNEXPECTED
from transfer.errors import TransferError
from transfer.models.failed_steps import FailedStep
from transfer.models.failing import Failing, failure
from transfer.models.servers import BonusServer
from transfer.queue.jobs import Job, JobQuerySet
from transfer.queue.locks import Space


class RecurringJobQuerySet(JobQuerySet):
    def pending(self) -> Self:
        return self.filter(due_at__lte=timezone.now())

    def missing(self) -> list[Any]:
        """Conditions of which one is true where `create_missing` would create a job."""
        of_kinds = {kind: self.filter(kind=kind) for kind in RecurringJob.Kind}
        alone = [~Exists(of_kinds[kind].filter(server=None)) for kind in OF_INSTALLATION]
        of_servers = [
            Exists(
                BonusServer.objects.filter(~Exists(of_kinds[kind].filter(server=OuterRef("pk"))))
            )
            for kind in OF_SERVERS
        ]
        return [*alone, *of_servers]

    def create_missing(self) -> None:
        """Creates the jobs of the installation, and those of each bonus server."""
        servers = BonusServer.objects.order_by().values_list("pk", flat=True)
        wanted: set[tuple[str, int | None]]
        wanted = {(kind, pk) for kind in OF_SERVERS for pk in servers}
        wanted |= {(kind, None) for kind in OF_INSTALLATION}
        missing = wanted - set(self.values_list("kind", "server"))
        jobs: list[Any] = [RecurringJob(kind=kind, server_id=pk) for kind, pk in missing]
        if jobs:
            self.bulk_create(jobs, ignore_conflicts=True)


class RecurringJob(Job, Failing):
    """One row for each job. When it is due, the tick puts it into the queue.

    `due_at` moves on when a worker takes the job. So a job that fails, or kills its worker, waits
    for its next time like any other.
    """

    LOCK_SPACE = Space.RECURRING_JOB
    PRIORITY = -10  # runs and loads come first

    class Kind(models.TextChoices):
        ASK_BACKLOGS = "ask_backlogs"  # what waits for each transfer task
        CHECK_CERT = "check_cert"  # of a bonus server's administration port: does it end soon
        CHECK_CHANGES = "check_changes"  # staged rows that were changed after their transfer
        CHECK_GUARDS = "check_guards"  # of the staging tables in shop All
        CHECK_MAIL = "check_mail"  # whether the mail server takes connections
        CHECK_PAGES = "check_pages"  # whether the pages answer at SITE_URL
        CHECK_TABLES = "check_tables"  # of one bonus server, or of shop All: which will be refused
        COPY_DAYS = "copy_days"  # what each server has received today, into shop All
        MIRROR_REJECTS = "mirror_rejects"  # of one bonus server

    EVERY = {
        Kind.ASK_BACKLOGS: timedelta(seconds=45),  # less than a minute: each tick finds it due
        Kind.CHECK_CHANGES: timedelta(seconds=45),
        Kind.CHECK_GUARDS: timedelta(seconds=45),
        Kind.CHECK_CERT: timedelta(minutes=15),
        Kind.CHECK_MAIL: timedelta(minutes=15),
        Kind.CHECK_PAGES: timedelta(minutes=15),
        Kind.CHECK_TABLES: timedelta(minutes=15),
        Kind.COPY_DAYS: timedelta(minutes=15),
        Kind.MIRROR_REJECTS: timedelta(minutes=15),
    }

    kind = models.CharField(max_length=20, choices=Kind)
    server = models.ForeignKey(BonusServer, on_delete=models.CASCADE, null=True, related_name="+")
    due_at = models.DateTimeField(default=timezone.now)

    objects = RecurringJobQuerySet.as_manager()

    class Meta:
        ordering = ["kind", "pk"]
        verbose_name = gettext_lazy("recurring job")
        constraints = [
            models.UniqueConstraint("kind", "server", name="one_job_per_kind_and_server"),
            models.UniqueConstraint(
                "kind", condition=Q(server=None), name="one_job_per_kind_without_server"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.server or ''}".strip()

    def claim(self) -> bool:
        now = timezone.now()
        due_at = now + self.EVERY[self.Kind(self.kind)]
        return bool(self.saved.filter(due_at__lte=now).update(due_at=due_at))

    def fail(self, error: TransferError) -> None:
        """Notes the failure. One that no sentence explains is a defect, and is shown as such."""
        self.saved.update(**failure(error))
        if error.cause is UNEXPECTED:
            FailedStep.note_failure("recurring_job", f"{self.kind} {self.pk}", error)

    def note_success(self) -> None:
        if self.saved.exclude(error_code="").update(**failure(None)):
            FailedStep.note_success("recurring_job", f"{self.kind} {self.pk}")


# Jobs of which there is one, and jobs of which each bonus server has one.
OF_INSTALLATION = (
    *(RecurringJob.Kind.ASK_BACKLOGS, RecurringJob.Kind.CHECK_CHANGES),
    *(RecurringJob.Kind.CHECK_GUARDS, RecurringJob.Kind.CHECK_TABLES),
    RecurringJob.Kind.COPY_DAYS,
)
OF_SERVERS = (
    *(RecurringJob.Kind.MIRROR_REJECTS, RecurringJob.Kind.CHECK_CERT),
    RecurringJob.Kind.CHECK_TABLES,
)
