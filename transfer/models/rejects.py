import re
from typing import Any, Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy

from transfer.models.addresses import address
from transfer.models.runs import TransferRun
from transfer.models.servers import BonusServer
from transfer.models.tasks import KindChoices, OfKind

# How a file names a rejected row: two numbers that must fit together, and Excel takes it for text.
REJECT_KEY = re.compile(r"R([0-9]{1,18})-([0-9]{1,18})", re.IGNORECASE)

ROW = ("kind", "changeset", "row")  # what names a staged row, the same in every database
# What an inner query asks for: rejects of the outer one's row; those that said the same before.
SAME_ROW: dict[str, Any] = {name: models.OuterRef(name) for name in ROW}
EARLIER = {**SAME_ROW, "code": models.OuterRef("code"), "pk__lt": models.OuterRef("pk")}


class RejectedRowQuerySet(models.QuerySet["RejectedRow"]):
    def open(self) -> Self:
        """Rejects that wait for a decision."""
        return self.filter(state=RejectedRow.State.OPEN)

    def earlier(self) -> Self:
        """Of an outer query's row and reason: those that came before, and stand for it in lists."""
        return self.filter(**EARLIER)

    def of_load(self, load: Any) -> Self:
        """Rejects of the rows that a load (an Upload) has staged."""
        return self.filter(kind=load.kind, changeset=load.changeset)

    def in_locking_order(self) -> Self:
        """The order in which everybody locks them; in another, two would lock each other out."""
        return self.order_by("kind", "changeset", "row", "pk")

    def discard(self, reason: str, by: str) -> int:
        """Close them with a reason; return how many. Bonus servers are told by their next run."""
        return self.update(
            state=RejectedRow.State.DISCARDED,
            is_written=False,
            closed_at=timezone.now(),
            closed_by=by,
            close_reason=reason,
        )

    def of_row(self, reject: "RejectedRow") -> Self:
        """Rejects of the same staged row, which every bonus server judges for itself."""
        return self.filter(kind=reject.kind, changeset=reject.changeset, row=reject.row)

    def of_rows(self, chosen: models.QuerySet[Any]) -> Self:
        """Rejects of the same staged rows as `chosen`."""
        return self.filter(models.Exists(chosen.filter(**SAME_ROW)))

    def once(self) -> Self:
        """One reject of each staged row and reason: the first among these."""
        earlier = self.earlier()
        return self.filter(models.Q(duplicates_open=False) | ~models.Exists(earlier))

    def note_following(self) -> None:
        """Notes which of these open ones follow another of the same row and reason.

        Not `open()`, whose index the planner takes while it knows of no rows: it would read all
        that have been rejected for the same reason, for each row.
        """
        earlier = RejectedRow.objects.earlier().filter(closed_at=None)
        self.open().update(duplicates_open=models.Exists(earlier))

    def groups(self) -> list[dict[str, Any]]:
        """Counts by transfer and reason, open ones too; most first. One query."""
        counted = (
            self.order_by()
            .values("kind", "code")
            .annotate(
                rows=models.Count("pk"),
                open=models.Count("pk", filter=models.Q(state=RejectedRow.State.OPEN)),
            )
        )
        return list(counted.order_by("-rows", "kind", "code"))


class RejectedRow(OfKind, models.Model):
    """A staged row that a bonus server has received and not applied. No run reads it again."""

    class State(models.TextChoices):
        OPEN = "open", gettext_lazy("Open")
        RESENT = "resent", gettext_lazy("Sent again")
        DISCARDED = "discarded", gettext_lazy("Discarded")
        SETTLED = "settled", gettext_lazy("Taken back")

    run = models.ForeignKey(
        TransferRun, on_delete=models.SET_NULL, null=True, related_name="rejects"
    )
    server = models.ForeignKey(
        BonusServer, on_delete=models.SET_NULL, null=True, related_name="rejects"
    )
    # What the history still says when the server is gone.
    server_name = models.CharField(gettext_lazy("bonus server"), max_length=100)
    kind = models.CharField(gettext_lazy("transfer"), max_length=10, choices=KindChoices)
    # The name of the row: its changeset, and in it the line of a file, or the number in the table.
    changeset = models.UUIDField()
    row = models.BigIntegerField(gettext_lazy("number of the row"))
    # Of a row that depends on another one: how, and on which.
    effect = models.CharField(max_length=10, blank=True)
    root_changeset = models.UUIDField(null=True)
    root_row = models.BigIntegerField(null=True)
    code = models.CharField(gettext_lazy("reason"), max_length=40)
    # PIN codes are masked, by the SQL of `kinds`.
    payload = models.JSONField(gettext_lazy("row as received"))
    # For rows that the bonus server's own table refused.
    sqlstate = models.CharField(max_length=5, blank=True)
    constraint = models.CharField(max_length=63, blank=True)
    created_at = models.DateTimeField(gettext_lazy("rejected at"), default=timezone.now)

    state = models.CharField(
        gettext_lazy("state"), max_length=10, choices=State, default=State.OPEN
    )
    # When it came, a reject of another server was open for the same row and reason: lists show
    # that one for both.
    duplicates_open = models.BooleanField(default=False)
    closed_at = models.DateTimeField(gettext_lazy("closed at"), null=True)
    closed_by = models.CharField(gettext_lazy("closed by"), max_length=200, blank=True)
    close_reason = models.CharField(gettext_lazy("why"), max_length=500, blank=True)
    # The row that was staged in its place.
    resent_changeset = models.UUIDField(null=True)
    resent_row = models.BigIntegerField(gettext_lazy("sent again as row"), null=True)
    # Whether the bonus server has closed it as well. Its next run writes down there that it was
    # discarded; a row that was sent in its place closes it there when it arrives.
    is_written = models.BooleanField(default=True)

    objects = RejectedRowQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = gettext_lazy("rejected row")
        verbose_name_plural = gettext_lazy("rejected rows")
        constraints = [
            models.UniqueConstraint(
                "server", "kind", "changeset", "row", name="rejected_once_per_server"
            )
        ]
        indexes = [
            models.Index("run", name="rejects_of_run"),
            # What is open, by reason: `groups` and the problem `rejects` read nothing else.
            models.Index(
                fields=["kind", "code", "duplicates_open", "-id"],
                include=["state", "created_at"],
                condition=models.Q(state="open"),
                name="rejects_open",
            ),
            # The list by time, by any filter; `groups` reads nothing else.
            models.Index(
                fields=[
                    "created_at",
                    "id",
                    "state",
                    "kind",
                    "code",
                    "server",
                    "duplicates_open",
                ],
                name="rejects_by_time",
            ),
            # The rejects of a row, or of a load.
            models.Index("changeset", "row", "kind", name="rejects_of_row"),
            # Rejects that were closed here, until the bonus server has closed them, too.
            models.Index(
                "server", "kind", condition=models.Q(is_written=False), name="rejects_to_write"
            ),
            # Those whose correction a restored shop All may have lost.
            models.Index(
                "resent_changeset", condition=models.Q(state="resent"), name="rejects_resent"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.row}: {self.code}"

    def get_absolute_url(self) -> str:
        return address("reject", self.pk)

    def audit_params(self) -> dict[str, str]:
        return {"kind": self.kind, "server": self.server_name}

    @property
    def key(self) -> str:
        """The name of the row in a file of rejected rows."""
        return f"R{self.pk}-{self.row}"

    @property
    def is_open(self) -> bool:
        return self.state == self.State.OPEN
