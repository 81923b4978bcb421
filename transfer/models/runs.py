from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Self

from django.db import models, transaction
from django.db.models import Q
from django.db.models.fields.json import KT
from django.utils import timezone
from django.utils.translation import get_language, gettext as _, gettext_lazy

from transfer.causes.catalogue import REFUSALS
from transfer.causes.runs import RUN_TAKEN_OVER
from transfer.engine.received import Position, Recorded, Totals
from transfer.errors import TransferError
from transfer.models.flow_hours import FlowHour
from transfer.models.outage_parts import OutagePart, Part, Seen
from transfer.models.run_base import (
    BAD_STATES,
    GOOD_STATES,
    OPEN_STATES,
    Run,
    RunQuerySet,
    State,
    Trigger,
)
from transfer.models.servers import BonusServer
from transfer.models.shared import AmountField
from transfer.models.statements import ServerDay
from transfer.models.tasks import KindChoices, OfKind, TransferTask
from transfer.parties import SHOP_ALL

__all__ = ["OPEN_STATES", "State", "TransferRun", "Trigger"]


OUTCOMES = ["applied", "unchanged", "rejected"]
COUNTS = [*OUTCOMES, "amount_applied", "amount_rejected"]
PLACES = ["position_from", "position_to", "went_back"]
FILTERED = ["server", "kind", "state", "trigger", "actor", "read"]  # by the history
BY_END = {
    "good": models.Count("pk", filter=Q(state__in=GOOD_STATES)),
    "bad": models.Count("pk", filter=Q(state__in=BAD_STATES)),
    "skipped": models.Count("pk", filter=Q(state=State.SKIPPED)),
}


@lru_cache(maxsize=1000)
def _title(kind: str, server: str, language: str | None) -> str:
    """What a run moves, and to which server. A page shows the same few many times."""
    return _("%(kind)s → %(server)s") % {"kind": KindChoices(kind).label, "server": server}


class TransferRunQuerySet(RunQuerySet):
    def begun(self) -> Self:
        """Runs that know where they started from."""
        return self.filter(position_from__isnull=False)

    def that_may_have_moved(self) -> Self:
        """Without those that found the position locked: another runner was moving it."""
        return self.exclude(state=State.SKIPPED, chunks=0)

    def arrived(self) -> dict[tuple[int | None, str], int]:
        """Server and kind → rows that the server has got, or had already. One query."""
        rows = models.Sum(models.F("applied") + models.F("unchanged"))
        counted = self.order_by().values_list("server", "kind").annotate(rows=rows)
        return {(server, kind): count for server, kind, count in counted}

    def between(self, edges: Sequence[datetime]) -> list[dict[str, int]]:
        """Rows and runs of those queued from each of the moments to the next one. One query.

        The moments ascend; there is one result less than there are moments.
        """
        sums = {f"{name}_rows": models.Sum(name) for name in OUTCOMES}
        counted = (
            self.with_slot(edges).values("slot").annotate(runs=models.Count("pk"), **BY_END, **sums)
        )
        by_slot = {line.pop("slot"): line for line in counted}
        nothing = dict.fromkeys(("runs", *BY_END, *sums), 0)
        return [by_slot.get(number, nothing) for number in range(1, len(edges))]


class TransferRun(OfKind, Run):
    """One execution of a transfer task: what it moved, and how it ended."""

    URL_NAME = "run"
    LOCK_SPACE = TransferTask.LOCK_SPACE

    task = models.ForeignKey(
        TransferTask, on_delete=models.SET_NULL, null=True, related_name="runs"
    )
    server = models.ForeignKey(
        BonusServer,
        on_delete=models.SET_NULL,
        null=True,
        related_name="runs",
        verbose_name=gettext_lazy("bonus server"),
    )
    # What the history still says when the server is gone.
    server_name = models.CharField(gettext_lazy("bonus server"), max_length=100)
    kind = models.CharField(gettext_lazy("transfer"), max_length=10, choices=KindChoices)

    expected = models.BigIntegerField(gettext_lazy("rows to move"), default=0)
    applied = models.BigIntegerField(gettext_lazy("applied"), default=0)
    unchanged = models.BigIntegerField(gettext_lazy("unchanged"), default=0)
    rejected = models.BigIntegerField(gettext_lazy("rejected"), default=0)
    read = models.GeneratedField(
        expression=models.F("applied") + models.F("unchanged") + models.F("rejected"),
        output_field=models.BigIntegerField(gettext_lazy("read")),
        db_persist=True,
    )
    # When the run ended; null where it ended in a way that allowed no count.
    waiting = models.BigIntegerField(gettext_lazy("waiting"), null=True)
    chunks = models.IntegerField(gettext_lazy("steps"), default=0)
    amount_applied = AmountField(gettext_lazy("sum applied"), default=0)
    amount_rejected = AmountField(gettext_lazy("sum rejected"), default=0)

    position_from = models.JSONField(null=True)
    position_to = models.JSONField(null=True)
    # It began before the place where the run before it has ended: since a restore of the bonus
    # server, or since shop All was restored, and the log is another one from there on.
    went_back = models.BooleanField(default=False)

    objects = TransferRunQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = gettext_lazy("run")
        verbose_name_plural = gettext_lazy("runs")
        constraints = [
            models.UniqueConstraint(
                "task",
                condition=models.Q(state__in=OPEN_STATES),
                name="one_open_run_per_task",
            )
        ]
        indexes = [
            models.Index(fields=["task", "-id"], name="runs_of_a_task"),
            # `attach_runs`: the last success, however long ago.
            models.Index(
                fields=["task", "-id"],
                condition=models.Q(state__in=GOOD_STATES),
                name="good_runs_of_a_task",
            ),
            # The history, by any filter; `between` reads nothing else.
            models.Index(fields=["queued_at", "id", *FILTERED, *OUTCOMES], name="runs_by_time"),
            # The trace: which run moved a row.
            models.Index(
                fields=["task", "id"], condition=models.Q(read__gt=0), name="runs_that_moved"
            ),
            # The lines of the log that a run has passed. It has all columns of what the trace asks,
            # in its order: else the planner takes an origin for rare, and sorts all later runs.
            models.Index(
                "task",
                KT("position_to__origin"),
                models.F("position_to__number"),
                "id",
                condition=models.Q(read__gt=0),
                name="runs_of_a_line",
            ),
            models.Index(
                fields=["task", "id"],
                condition=models.Q(went_back=True),
                name="runs_that_went_back",
            ),
            # What is queued or under way; purge.
            models.Index(fields=["state", "-id"], name="runs_by_state"),
            models.Index(fields=["finished_at"], name="runs_by_end"),
        ]

    def __str__(self) -> str:
        return f"{self.pk}: {self.get_kind_display()} → {self.server_name}"

    @property
    def title(self) -> str:
        """What ran, in the reader's language."""
        return _title(self.kind, self.server_name, get_language())

    @property
    def totals(self) -> Totals:
        return Totals(*(getattr(self, name) for name in COUNTS))

    @totals.setter
    def totals(self, totals: Totals) -> None:
        self.assign(**vars(totals))

    def audit_params(self) -> dict[str, str]:
        return {"kind": self.kind, "server": self.server_name}

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

    def log_names(self) -> dict[str, Any]:
        return {**super().log_names(), "server": self.server_name}

    def note_in_task(self) -> None:
        """A failure is also the begin of an outage, unless a question waits for its answer."""
        super().note_in_task()
        is_failure = self.state in BAD_STATES and self.error_code not in REFUSALS
        if is_failure and self.task and self.task.enabled and self.finished_at:
            is_of_shop_all = self.error is not None and self.error.party == SHOP_ALL
            server = None if is_of_shop_all else self.server_id
            OutagePart.note_failures([Seen(server, Part.RUNS, self.finished_at)])

    def begin(self, position: Position, expected: int, before: Recorded | None) -> None:
        """Notes where the run starts, and how many rows there are to move.

        `before` is where the rows end that are counted so far: by this run, or the one before.
        """
        self.expected = expected
        self._set_back(position, is_before=before is not None and before.is_ahead_of(position))
        with transaction.atomic():
            self.save(update_fields=["expected", *PLACES])
            self._note_day(position)

    def go_back(self, position: Position) -> None:
        """Notes that the run goes on from an earlier place, where shop All was restored."""
        self._set_back(position, is_before=True)
        self.save(update_fields=PLACES)
        self._note_day(position)

    def _set_back(self, position: Position, *, is_before: bool) -> None:
        self.position_from = self.position_to = position.as_json()
        self.went_back = self.went_back or is_before

    def go_on_with(self, rows: int) -> None:
        """Notes that further rows are to be moved by a run that was opened again."""
        self.expected = self.totals.read + rows
        self.save(update_fields=["expected"])

    @property
    def has_moved(self) -> bool:
        """Whether a chunk of this run has been counted."""
        return self.position_from != self.position_to

    def add_chunk(self, gained: Totals, after: Position, seconds: float | None) -> None:
        """Counts a chunk that has landed, in the run and in its hour; `seconds`: see `FlowHour`.

        Not if somebody has settled it meanwhile. Raises RUN_TAKEN_OVER if the run is closed, which
        happens where this process has lost the task's lock: the next run counts the chunk then.
        """
        with transaction.atomic():
            self._lock()
            if self.state != State.RUNNING:
                raise TransferError(RUN_TAKEN_OVER)
            self.chunks += 1
            counted = self.counted_to
            is_counted = counted is not None and (
                counted.version == after.version or counted.is_after(after)
            )
            if not is_counted:
                self._count(gained, after, seconds)
            self.save(update_fields=[*COUNTS, "chunks", "position_to"])

    def settle(self, position: Position) -> None:
        """Counts what the run moved and could not count itself, because it was killed.

        `position` is the one that the next run reads. It tells nothing about this run if it does
        not go on from where this run stopped: after the bonus server was restored to an earlier
        state. The caller holds the task's lock.
        """
        if not self._lacks(position):  # as a rule; what is counted meanwhile makes it no less
            return
        with transaction.atomic():
            self._lock()
            stopped = self.counted_to
            if stopped is not None and self._lacks(position):
                self._count(position.received - stopped.received, position, None)
                self.save(update_fields=[*COUNTS, "position_to"])

    def end_at(self, position: Position) -> None:
        """Notes where the run has ended, if all rows up to there are counted.

        That is not where its last chunk ended if it has then put the position back to a fork.
        """
        counted = self.counted_to
        if counted is None or counted.version == position.version or self._lacks(position):
            return
        if counted.is_ahead_of(position):
            self.go_back(position)
        else:
            self.position_to = position.as_json()
            self.save(update_fields=["position_to"])
            self._note_day(position)

    @property
    def counted_to(self) -> Recorded | None:
        """The position up to which the run's rows are counted."""
        return None if self.position_to is None else Recorded.from_json(self.position_to)

    def _lacks(self, position: Position) -> bool:
        """Whether rows up to the position are not counted."""
        counted = self.counted_to
        return counted is not None and counted.is_before(position)

    def _lock(self) -> None:
        """Reads the counts of the run again, and locks it until the transaction ends.

        A process that has lost the task's lock may count beside the one that holds it.
        """
        fields = [*COUNTS, "chunks", "position_to", "state"]
        self.refresh_from_db(fields=fields, from_queryset=type(self).objects.select_for_update())

    def _count(self, gained: Totals, after: Position, seconds: float | None) -> None:
        """The caller saves the run."""
        self.totals = self.totals + gained
        self.position_to = after.as_json()
        FlowHour.objects.add(self.task_id, gained, timezone.now(), seconds)
        self._note_day(after)

    def _note_day(self, position: Position) -> None:
        ServerDay.objects.note(self.server_id, self.server_name, position)

    def count_reasons(self) -> dict[str, int]:
        """Check code → rows of this run that failed it."""
        counted = self.rejects.values_list("code").annotate(models.Count("pk"))
        return dict(counted.order_by("code"))
