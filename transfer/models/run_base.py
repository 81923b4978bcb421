"""What a run of any task has: who started it, its state, its error. And how it ends."""

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Self

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy

from transfer.errors import AlreadyRunning, TransferError
from transfer.logs import about
from transfer.models.addresses import address
from transfer.models.audit import Actor, AuditEntry
from transfer.models.failing import Failing, failure
from transfer.models.schedule_queries import latest_of_task
from transfer.models.schedules import ScheduledTask
from transfer.queue.jobs import Job, JobQuerySet
from transfer.queue.worker import Stopped

logger = logging.getLogger(__name__)


class RunClosed(Exception):
    """There is nothing to cancel: the run has ended."""


class State(models.TextChoices):
    QUEUED = "queued", gettext_lazy("Queued")
    RUNNING = "running", gettext_lazy("Running")
    SUCCEEDED = "succeeded", gettext_lazy("Succeeded")
    REJECTS = "rejects", gettext_lazy("Succeeded with rejects")
    FAILED = "failed", gettext_lazy("Failed")
    SKIPPED = "skipped", gettext_lazy("Skipped")
    CANCELLED = "cancelled", gettext_lazy("Cancelled")
    INTERRUPTED = "interrupted", gettext_lazy("Interrupted")


OPEN_STATES = [State.QUEUED, State.RUNNING]
GOOD_STATES = [State.SUCCEEDED, State.REJECTS]
BAD_STATES = [State.FAILED, State.INTERRUPTED]


class Trigger(models.TextChoices):
    """What opened a run: the tick, a look that found rows, a person, a command.

    The tick opens runs of tasks that run as rows arrive, too: every minute while no process looks,
    and now and then all the same. It does not know whether rows have arrived.
    """

    SCHEDULE = "schedule", gettext_lazy("Schedule")
    ARRIVAL = "arrival", gettext_lazy("Rows arrived")
    MANUAL = "manual", gettext_lazy("By hand")
    COMMAND = "command", gettext_lazy("Command line")


class RunSlot(NamedTuple):
    """The runs of one task that were queued between two moments: how many, and some of them.

    `of`: the values that name the task; `place`: that of the slot, from 0. `first_bad`,
    `first_rejects` and `last` are numbers of runs. `rows` is None where runs count none.
    """

    of: tuple[Any, ...]
    place: int
    runs: int
    bad: int
    rejects: int
    open: int
    good: int
    first_bad: int | None
    bad_at: datetime | None
    first_rejects: int | None
    last: int
    rows: int | None


class RunQuerySet(JobQuerySet):
    def with_slot(self, edges: Sequence[datetime]) -> Self:
        """The runs between the first and the last of these ascending moments.

        Each has `slot`: 1 between the first moment and the second one, and so on.
        """
        moments = models.Value(list(edges), ArrayField(models.DateTimeField()))
        slot = models.Func(
            "queued_at", moments, function="width_bucket", output_field=models.IntegerField()
        )
        within = self.filter(queued_at__gte=edges[0], queued_at__lt=edges[-1])
        return within.order_by().annotate(slot=slot)

    def in_slots(self, edges: Sequence[datetime], *by: str) -> list[RunSlot]:
        """Count the runs between each of the moments and the next one. The moments ascend.

        `by`: the columns that name a task. Slots without a run are left out. One query, which reads
        an index by time alone.
        """
        is_bad, has_rejects = models.Q(state__in=BAD_STATES), models.Q(state=State.REJECTS)
        counts_rows = any(one.name == "read" for one in self.model._meta.get_fields())
        rows = models.Sum("read") if counts_rows else models.Value(None, models.IntegerField())
        counted = (
            self.with_slot(edges)
            .values(*by, "slot")
            .annotate(
                runs=models.Count("pk"),
                bad=models.Count("pk", filter=is_bad),
                rejects=models.Count("pk", filter=has_rejects),
                open=models.Count("pk", filter=models.Q(state__in=OPEN_STATES)),
                good=models.Count("pk", filter=models.Q(state__in=GOOD_STATES)),
                first_bad=models.Min("pk", filter=is_bad),
                bad_at=models.Min("queued_at", filter=is_bad),
                first_rejects=models.Min("pk", filter=has_rejects),
                last=models.Max("pk"),
                rows=rows,
            )
        )
        return [
            RunSlot(tuple(line.pop(name) for name in by), line.pop("slot") - 1, **line)
            for line in counted
        ]

    def pending(self) -> Self:
        return self.queued().exclude(task=None)

    def open(self) -> Self:
        return self.filter(state__in=OPEN_STATES)

    def closed(self) -> Self:
        return self.exclude(state__in=OPEN_STATES)

    def queued(self) -> Self:
        return self.filter(state=State.QUEUED)

    def running(self) -> Self:
        return self.filter(state=State.RUNNING)

    def good(self) -> Self:
        """Runs that moved all there was, with rejects or without."""
        return self.filter(state__in=GOOD_STATES)

    def real(self) -> Self:
        """Runs without dry ones."""
        return self

    def bad(self) -> Self:
        return self.filter(state__in=BAD_STATES)

    def by_schedule(self) -> Self:
        return self.filter(trigger__in=[Trigger.SCHEDULE, Trigger.ARRIVAL])

    def dead(self) -> Self:
        """Runs that are marked running while the task's lock is free."""
        return self.running().idle()

    def interrupt(self) -> int:
        """Closes them, since their process is gone; returns how many: as a rule, none."""
        if not self.exists():  # a question without the columns of a run takes half as long
            return 0
        runs = list(self)
        for run in runs:
            run.finish(State.INTERRUPTED)
        return len(runs)


class Run(Job, Failing):
    """A run. Its lock is the task's, so that a task has one run at a time."""

    Trigger = Trigger
    URL_NAME: ClassVar[str]
    LOCKED_BY = "task"
    task: Any  # a foreign key of each kind of run
    kind: str

    trigger = models.CharField(gettext_lazy("started by"), max_length=10, choices=Trigger)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=gettext_lazy("user"),
    )
    state = models.CharField(
        gettext_lazy("state"), max_length=12, choices=State, default=State.QUEUED
    )
    queued_at = models.DateTimeField(gettext_lazy("queued at"), default=timezone.now)
    started_at = models.DateTimeField(gettext_lazy("started at"), null=True)
    finished_at = models.DateTimeField(gettext_lazy("finished at"), null=True)
    cancel_requested_at = models.DateTimeField(gettext_lazy("cancellation requested at"), null=True)
    cancelled_by = models.CharField(gettext_lazy("cancelled by"), max_length=200, blank=True)
    # For a failed run: when it is tried again, if that is before the next time by schedule.
    retry_at = models.DateTimeField(gettext_lazy("retry at"), null=True)

    class Meta:
        abstract = True

    def get_absolute_url(self) -> str:
        return address(self.URL_NAME, self.pk)

    @property
    def key(self) -> str:
        """The name of the run on the command line."""
        return str(self.pk)

    def log_names(self) -> dict[str, Any]:
        return {"run": self.key, "task": self.kind}

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def is_good(self) -> bool:
        return self.state in GOOD_STATES

    @property
    def seconds(self) -> float | None:
        """How long it ran, or has been running."""
        if self.started_at is None:
            return None
        return ((self.finished_at or timezone.now()) - self.started_at).total_seconds()

    def lock(self) -> AbstractContextManager[None]:
        return self.task.lock()

    def start(self) -> None:
        """Marks the run as running. The caller holds the task's lock.

        Raises IntegrityError when the run is new and the task has another open one.
        """
        self.state, self.started_at = State.RUNNING, timezone.now()
        with transaction.atomic():
            self.save()
        self._tell_begin()

    def claim(self) -> bool:
        """Starts a queued run, unless it was started or cancelled meanwhile.

        One that gave way began when it was first started.
        """
        started = self.started_at or timezone.now()
        if not self.saved.queued().update(state=State.RUNNING, started_at=started):
            return False
        self.state, self.started_at = State.RUNNING, started
        self._tell_begin()
        return True

    def _tell_begin(self) -> None:
        with about(**self.log_names()):
            logger.info("run begins")

    def go_on(self) -> bool:
        """Opens a run again that ended well, unless its task has another by now.

        The caller holds the task's lock.
        """
        later = self.task.runs.filter(pk__gt=self.pk)
        last = self.saved.good().exclude(models.Exists(later))
        if not last.update(state=State.RUNNING, finished_at=None):
            return False
        self.state, self.finished_at = State.RUNNING, None
        self._tell_begin()
        return True

    def give_way(self) -> bool:
        """Put a running run back into the queue, unless it is cancelled or closed by now.

        The caller holds the task's lock. As soon as that is free, `Job.do` enqueues the run, or
        `arrivals.Moves` takes it up again. If this process dies first, the tick enqueues it.
        """
        running = self.saved.running().filter(cancel_requested_at=None)
        if not running.update(state=State.QUEUED, queue_entry=None):
            return False
        self.state, self.queue_entry, self.gave_way = State.QUEUED, None, True
        logger.info("run gives way", extra=self.log_names())
        return True

    def cancel(self, actor: Actor) -> None:
        """A queued run ends at once, a running one after the step under way. Raises RunClosed."""
        now = timezone.now()
        request = {"cancel_requested_at": now, "cancelled_by": actor.name}
        at_once = {**request, "state": State.CANCELLED, "finished_at": now}
        with transaction.atomic():
            if not (
                self.saved.queued().update(**at_once) or self.saved.running().update(**request)
            ):
                raise RunClosed
            AuditEntry.record(actor, AuditEntry.Action.CANCEL, self)
        self.refresh_from_db(fields=list(at_once))

    def is_cancelled(self) -> bool:
        """Whether a running run was asked to end."""
        return self.saved.filter(cancel_requested_at__isnull=False).exists()

    def has_to_end(
        self,
        stopped: Stopped,
        stopped_as: State = State.INTERRUPTED,
        others_wait: Callable[[], bool] = lambda: False,
    ) -> State | None:
        """Whether, and as what, it has to end: it was cancelled, or the worker has to stop.

        QUEUED: it has to give way to jobs that wait.
        """
        if self.is_cancelled():
            return State.CANCELLED
        if stopped():
            return stopped_as
        return State.QUEUED if others_wait() else None

    def skip(self, error: TransferError) -> None:
        """Saves a new run that did not take place, and says why."""
        self.assign(state=State.SKIPPED, finished_at=timezone.now(), **failure(error))
        self.save()

    def fail(self, error: TransferError) -> None:
        """An overlap with a run of another installation is not a failure."""
        state = State.SKIPPED if isinstance(error, AlreadyRunning) else State.FAILED
        self.finish(state, error=error)

    def finish(self, state: State, *, error: TransferError | None = None, **results: Any) -> None:
        """Closes the run, unless it is closed, and updates its task."""
        fields = {"state": state, "finished_at": timezone.now(), **results}
        if error is not None:
            fields |= failure(error)
        self.assign(**fields)
        with transaction.atomic():
            if self.saved.open().update(**fields):
                self.note_in_task()
        level = logging.WARNING if state in BAD_STATES else logging.INFO
        logger.log(level, "run ended: %s", state, extra={"state": str(state), **self.log_names()})

    def note_in_task(self) -> None:
        """The task counts its failures; a failed run keeps when it is tried again."""
        task = self.task
        if task is None:
            return
        if self.state in GOOD_STATES:
            task.note_success()
        elif self.state in BAD_STATES:
            self.retry_at = task.note_failure(self.finished_at)
            self.save(update_fields=["retry_at"])


def attach_runs(tasks: Iterable[ScheduledTask]) -> list[Any]:
    """Gives tasks that came from `with_runs` their `last_run`, `last_success` and `open_run`.

    One query, however many tasks. `last_run` is the last one that ended and was not skipped.
    """
    listed: list[Any] = list(tasks)
    names = ("last_run", "last_success", "open_run")
    wanted = {getattr(task, f"{name}_id") for task in listed for name in names} - {None}
    runs = listed[0].runs.model.objects.in_bulk(wanted) if listed else {}
    for task in listed:
        for name in names:
            setattr(task, name, runs.get(getattr(task, f"{name}_id")))
    return listed


class PastRun(NamedTuple):
    """The data of a run in a strip; a page shows hundreds of them."""

    url: str
    state: str
    queued_at: datetime
    read: int | None = None


def attach_recent(tasks: Iterable[ScheduledTask], most: int) -> None:
    """Gives tasks of one kind their `recent_runs`, the latest last. Two queries, however many."""
    known: dict[Any, Any] = {task.pk: task for task in tasks}
    if not known:
        return
    of_kind = type(next(iter(known.values()))).objects.filter(pk__in=known)
    runs = of_kind.model.runs.rel.related_model.objects
    latest = latest_of_task(runs.real()).values("pk")[:most]
    numbers = dict(of_kind.values_list("pk", ArraySubquery(latest)))
    shown = ["pk", "state", "queued_at", *(["read"] if hasattr(runs.model, "read") else [])]
    wanted = {number for of_task in numbers.values() for number in of_task}
    by_number = {
        number: PastRun(address(runs.model.URL_NAME, number), *rest)
        for number, *rest in runs.filter(pk__in=wanted).order_by().values_list(*shown)
    }
    for pk, task in known.items():
        task.recent_runs = [by_number[number] for number in reversed(numbers.get(pk, []))]
