"""What every task on the scheduler page has: a switch, a pause, a schedule, a retry."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypedDict, Unpack

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models.audit import Actor, AuditEntry
from transfer.models.failing import retry_delay
from transfer.models.schedule_queries import ScheduledTaskQuerySet
from transfer.models.settings import Settings
from transfer.queue.locks import Space, lock
from transfer.schedule import EVERY_MINUTE, LONGEST_TEXT, Schedule, validate_schedule
from transfer.text.schedule import AS_ROWS_ARRIVE

LONGEST_PAUSE = timedelta(days=36_525)
LONGEST_DELAY = timedelta(minutes=30)
# A task that runs as rows arrive: how long a look into shop All counts for the tick, and how often
# it runs even if nothing arrives. Such a run sees what a look does not: a bonus server that was
# restored from a backup.
LOOK_COUNTS = timedelta(seconds=45)
RUN_ANYWAY = timedelta(minutes=15)
Action = AuditEntry.Action


class ChangedMeanwhile(Exception):
    """Another user was faster: `task` is its present state, `entry` its last change."""

    def __init__(self, task: "ScheduledTask", entry: AuditEntry | None) -> None:
        self.task, self.entry = task, entry
        super().__init__(str(entry or task))


class Wish(TypedDict, total=False):
    """Why a task is to be changed, the version that its author has seen, and when."""

    reason: str
    expected_version: int | None
    now: datetime | None


class ScheduledTask(models.Model):
    """A task with a switch and a schedule. Every change notes who, when and why.

    `version` counts the changes. If `expected_version` is given and the task has changed since,
    a change raises ChangedMeanwhile; None skips the check.
    """

    runs: Any  # of each kind of task
    LOCK_SPACE: ClassVar[Space]  # of the advisory lock that is held while the task runs
    READS_ROWS: ClassVar[bool] = False  # whether it may run as rows arrive

    enabled = models.BooleanField(gettext_lazy("enabled"), default=False)
    # One to 24 cron expressions: see `Schedule.parse`.
    schedule = models.CharField(
        gettext_lazy("schedule"),
        max_length=LONGEST_TEXT,
        default="*/5 * * * *",
        validators=[validate_schedule],
    )
    # Beside a schedule by the minute, which the tick follows.
    as_rows_arrive = models.BooleanField(default=False, editable=False)
    looked_at = models.DateTimeField(null=True, editable=False)  # for rows that arrive
    next_run_at = models.DateTimeField(gettext_lazy("next run"), null=True, editable=False)
    failures = models.PositiveIntegerField(
        gettext_lazy("failures in a row"), default=0, editable=False
    )
    retry_at = models.DateTimeField(gettext_lazy("retry at"), null=True, editable=False)
    # Names, not foreign keys: they stay readable when the user is gone.
    changed_by = models.CharField(
        gettext_lazy("switched by"), max_length=200, blank=True, editable=False
    )
    changed_at = models.DateTimeField(gettext_lazy("switched at"), null=True, editable=False)
    change_reason = models.CharField(
        gettext_lazy("reason"), max_length=500, blank=True, editable=False
    )
    paused_until = models.DateTimeField(gettext_lazy("paused until"), null=True, editable=False)
    paused_by = models.CharField(
        gettext_lazy("paused by"), max_length=200, blank=True, editable=False
    )
    pause_reason = models.CharField(
        gettext_lazy("reason"), max_length=500, blank=True, editable=False
    )
    version = models.PositiveIntegerField(default=1, editable=False)

    objects = ScheduledTaskQuerySet.as_manager()

    class Meta:
        abstract = True

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the task for a run. Closes runs whose process is gone. Raises AlreadyRunning.

        Free means that no process runs the task: the lock ends with its process at the latest.
        """
        with lock(self.LOCK_SPACE, self.pk, holder=lambda: self.runs.running().first() or self):
            self.runs.running().interrupt()
            yield

    def is_paused(self, now: datetime | None = None) -> bool:
        return self.paused_until is not None and self.paused_until > (now or timezone.now())

    @property
    def timing(self) -> str:
        """The schedule as text: cron expressions, or `AS_ROWS_ARRIVE`."""
        return AS_ROWS_ARRIVE if self.as_rows_arrive else self.schedule

    def is_watched(self, now: datetime) -> bool:
        """Whether a resident process opens the task's runs, so that the tick need not.

        Not if the last run did not succeed, or is too long ago.
        """
        if not self.as_rows_arrive or self.looked_at is None or self.failures:
            return False
        good = self.runs.real().closed().order_by("-pk").first()
        return (
            now - self.looked_at < LOOK_COUNTS
            and good is not None
            and good.is_good
            and now - good.finished_at < RUN_ANYWAY
        )

    def waits_for_retry(self, now: datetime) -> bool:
        """Whether it runs as rows arrive, but failed, and the time of its retry has not come."""
        return self.as_rows_arrive and self.retry_at is not None and self.retry_at > now

    @property
    def upcoming_at(self) -> datetime | None:
        """When it will run next, by schedule or as a retry."""
        if self.as_rows_arrive and self.retry_at and self.enabled:
            return self.retry_at
        times = [at for at in (self.next_run_at, self.retry_at) if self.enabled and at]
        return min(times, default=None)

    def next_time(self, now: datetime | None = None, *, zone: Any = None) -> datetime:
        """The first time by schedule after now and after the pause."""
        schedule = Schedule.parse(self.schedule)
        return schedule.next_after(self._start(now), zone or Settings.load().zone)

    def next_times(self, count: int, now: datetime | None = None) -> list[datetime]:
        """The next times by schedule, as the clock of the settings' zone shows them."""
        schedule = Schedule.parse(self.schedule)
        return schedule.next_times(count, self._start(now), Settings.load().zone)

    def _start(self, now: datetime | None) -> datetime:
        """The moment from which times count: now, or the end of the pause."""
        now = now or timezone.now()
        return max(now, self.paused_until or now)

    def switch(
        self, on: bool, actor: Actor, *, action: Action = Action.SWITCH, **wish: Unpack[Wish]
    ) -> None:
        """Switches the task on or off. Switched on, it runs at its next time, never at once.

        Switching off takes what the schedule had queued out of the queue. A run that goes on, goes
        on: see `TransferRun.cancel`. Raises ChangedMeanwhile.
        """
        with self._changing(actor, action, "enabled", **wish) as now:
            if self.enabled == on:
                return
            self.enabled = on
            self.retry_at, self.failures = None, 0
            self.changed_by, self.changed_at = actor.name, now
            self.change_reason = wish.get("reason", "")
            if not on:
                self.drop_queued(actor)

    def undo_switch(self, actor: Actor, **wish: Unpack[Wish]) -> None:
        """Takes the last switch back. Raises ChangedMeanwhile."""
        self.switch(not self.enabled, actor, action=Action.UNDO, **wish)

    def explain_switch(self, actor: Actor, **wish: Unpack[Wish]) -> None:
        """Says afterwards why the switch was pressed. Raises ChangedMeanwhile."""
        with self._changing(actor, Action.SWITCH, "change_reason", **wish):
            self.change_reason = wish.get("reason", "")

    def pause(self, until: datetime, actor: Actor, **wish: Unpack[Wish]) -> None:
        """Runs nothing by schedule until then; it goes on with the first time after.

        Raises ValidationError when `until` is past or too far away, and ChangedMeanwhile.
        """
        now = wish.get("now") or timezone.now()
        if until <= now:
            past = ValidationError(_("The pause has to end in the future."), code="past")
            raise ValidationError({"paused_until": past})
        if until > now + LONGEST_PAUSE:
            too_long = _("A pause ends within 100 years. To stop the task for good, switch it off.")
            raise ValidationError({"paused_until": ValidationError(too_long, code="far")})
        with self._changing(actor, Action.PAUSE, "paused_until", **wish):
            # PostgreSQL knows no zones that are 16 hours or more away from UTC.
            self.paused_until, self.paused_by = until.astimezone(UTC), actor.name
            self.pause_reason = wish.get("reason", "")
            self.retry_at = None
            self.drop_queued(actor)

    def resume(self, actor: Actor, **wish: Unpack[Wish]) -> None:
        """Ends the pause. The next run is the next time by schedule. Raises ChangedMeanwhile."""
        with self._changing(actor, Action.RESUME, "paused_until", **wish):
            self.paused_until, self.paused_by, self.pause_reason = None, "", ""

    def reschedule(self, schedule: str, actor: Actor, **wish: Unpack[Wish]) -> None:
        """Changes when it runs: by cron expressions (see `Schedule.parse`), or `AS_ROWS_ARRIVE`.

        Raises ValidationError at the field "schedule", and ChangedMeanwhile.
        """
        as_rows_arrive = schedule.strip() == AS_ROWS_ARRIVE
        by_cron = Schedule.parse(EVERY_MINUTE if as_rows_arrive else schedule)
        try:
            if not as_rows_arrive:
                by_cron.validate()
            elif not self.READS_ROWS:
                raise ValidationError(_("Only transfers can run as rows arrive."), code="rows")
        except ValidationError as error:
            raise ValidationError({"schedule": error}) from error
        with self._changing(actor, Action.SCHEDULE, "schedule", **wish):
            self.as_rows_arrive = as_rows_arrive
            self.schedule = str(by_cron)

    @contextmanager
    def _changing(
        self, actor: Actor, action: Action, field: str, **wish: Unpack[Wish]
    ) -> Iterator[datetime]:
        """Locks the task, and saves and notes what the block changes in it, if it does `field`."""
        now, expected = wish.get("now") or timezone.now(), wish.get("expected_version")
        fields = [one.name for one in ScheduledTask._meta.local_fields]
        with transaction.atomic():
            locked = type(self).objects.select_for_update(of=("self",))
            self.refresh_from_db(fields=fields, from_queryset=locked)
            if expected not in (None, self.version):
                raise ChangedMeanwhile(self, AuditEntry.objects.about(self).first())
            shown = "timing" if field == "schedule" else field
            old = {field: getattr(self, shown)}
            yield now
            new = {field: getattr(self, shown)}
            if new == old:
                return
            if field != "change_reason":
                self.next_run_at = self.next_time(now) if self.enabled else None
            self.version += 1
            self.save(update_fields=fields)
            AuditEntry.record(actor, action, self, old=old, new=new, reason=wish.get("reason", ""))

    def drop_queued(self, actor: Actor) -> None:
        """Takes what the schedule has queued out of the queue."""
        for run in self.runs.queued().by_schedule():
            run.cancel(actor)

    def plan_without_run(self, now: datetime) -> None:
        """Sets the next time after now, and keeps a retry."""
        self.next_run_at = self.next_time(now)
        self.save(update_fields=["next_run_at"])

    def plan(self, now: datetime) -> None:
        """Sets the next time after now: all missed times count once."""
        self.retry_at, self.next_run_at = None, self.next_time(now)
        self.save(update_fields=["retry_at", "next_run_at"])

    def note_success(self) -> None:
        failing = type(self).objects.filter(pk=self.pk).exclude(failures=0, retry_at=None)
        failing.update(failures=0, retry_at=None)

    @transaction.atomic
    def note_failure(self, now: datetime) -> datetime | None:
        """Counts a failure; returns when it is tried again before the next time by schedule.

        A task that runs as rows arrive has no other next time. 1, 2, 4 … minutes later, half an
        hour at most.
        """
        # Locked, since meanwhile it may be switched off or planned again.
        task = type(self).objects.select_for_update(of=("self",)).filter(pk=self.pk).first()
        if task is None:
            return None
        task.failures += 1
        at = now + retry_delay(task.failures - 1, LONGEST_DELAY)
        planned_at = task.next_run_at if task.enabled and not task.is_paused(now) else None
        is_before_next = planned_at is not None and (at < planned_at or task.as_rows_arrive)
        task.retry_at = at if is_before_next else None
        task.save(update_fields=["failures", "retry_at"])
        return task.retry_at
