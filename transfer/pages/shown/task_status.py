"""A task as the pages show it: schedule, waiting rows and the reason, last result."""

from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from transfer.models import MaintenanceTask, TransferTask
from transfer.models.flow_hours import Delays
from transfer.models.run_base import GOOD_STATES
from transfer.models.schedules import LOOK_COUNTS
from transfer.models.tasks import KindChoices
from transfer.pages import links
from transfer.pages.shown.looks import TONES, Look, look
from transfer.runs.backlog import Backlog, is_overdue, why
from transfer.schedule import Schedule
from transfer.text import formats
from transfer.text.explain import Explanation, explain
from transfer.text.reports import run_report
from transfer.text.schedule import in_words

NEVER = datetime.min.replace(tzinfo=UTC)
KINDS = (*KindChoices.values, *MaintenanceTask.Kind.values)
ORDER = {kind: number for number, kind in enumerate(KINDS)}


class TaskStatus:
    """One task, which has its runs if it comes from `attach_runs`."""

    def __init__(self, task: Any, zone: ZoneInfo, asked: Backlog | None = None) -> None:
        self.task, self.zone = task, zone
        self.asked = asked
        self.delays: Delays = ()  # of the rows of the last 24 hours; see `with_delays`

    @property
    def run(self) -> Any:
        return self.task.open_run

    @property
    def last_run(self) -> Any:
        return self.task.last_run

    @property
    def last_success(self) -> Any:
        return self.task.last_success

    @cached_property
    def name(self) -> str:
        return str(self.task)

    @property
    def kind_order(self) -> int:
        """The place of its kind in the order of the manual."""
        return ORDER[self.task.kind]

    @property
    def server_id(self) -> int | None:
        return self.task.server_id if self.is_transfer else None

    @property
    def server_name(self) -> str:
        return self.task.server.name if self.is_transfer else ""

    @property
    def schedule(self) -> str:
        return str(self.task.timing)

    @property
    def upcoming(self) -> datetime | None:
        return self.task.upcoming_at

    @cached_property
    def key(self) -> str:
        return links.key_of(self.task)

    @cached_property
    def url(self) -> str:
        return links.of_task(self.task)

    @property
    def history_url(self) -> str:
        if self.is_transfer:
            query = {"server": self.task.server_id, "kind": self.task.kind}
            return reverse("history", query=query)
        return reverse("history_maintenance", query={"kind": self.task.kind})

    @property
    def is_transfer(self) -> bool:
        return isinstance(self.task, TransferTask)

    @cached_property
    def words(self) -> str:
        return in_words(self.task.timing)

    @cached_property
    def is_paused(self) -> bool:
        return bool(self.task.is_paused())

    @cached_property
    def times(self) -> list[datetime]:
        """The next five times, also of a task that is off."""
        start = self.task.paused_until if self.is_paused else timezone.now()
        return Schedule.parse(self.task.schedule).next_times(5, start, self.zone)

    @property
    def is_running(self) -> bool:
        return self.run is not None and self.run.state == "running"

    @property
    def state(self) -> str:
        """What it does now, or what keeps it from running; see "task" in `components.states`.

        A task that fails does so until a run ends well: its next attempt, which may fail as the
        last one did, changes neither its word nor its place.
        """
        if self.task.failures and self.task.enabled and self.last_run:
            return "failed"
        if self.run:
            return "running" if self.is_running else "queued"
        if self.backlog.error:
            return "silent"
        if not self.task.enabled:
            return "off"
        if self.is_paused:
            return "paused"
        if self.is_overdue:
            return "overdue"
        if self.task.upcoming_at is None:
            return "unplanned"
        return "arrivals" if self.runs_as_rows_arrive else "planned"

    @property
    def look(self) -> Look:
        return look(self.state, "task")

    @property
    def badness(self) -> int:
        """A number that is lower for a worse state."""
        return TONES.index(self.look.tone)

    @property
    def state_words(self) -> str:
        """Its state in words, with the time that it names."""
        times = {}
        if self.state == "paused":
            times["until"] = formats.bound(self.task.paused_until)
        elif self.state == "planned":
            times["at"] = formats.clock(self.task.upcoming_at)
        return str(self.look.word) % times

    @property
    def state_url(self) -> str:
        """Where the reason for its state is found: the run, or the task."""
        run = self.last_run if self.state == "failed" else self.run
        return str(run.get_absolute_url()) if run else self.url

    @property
    def backlog(self) -> Backlog:
        """The waiting rows, by the answer of the servers or by a later run."""
        last, asked = self.last_run, self.asked or Backlog(asked_at=NEVER)
        if last is None or not self.is_transfer or last.state not in GOOD_STATES:
            return asked
        left = Backlog(last.waiting, writing_since=asked.writing_since, asked_at=last.finished_at)
        return left if left.is_fresh and left.asked_at > asked.asked_at else asked

    @property
    def backlog_sentence(self) -> str:
        """The waiting rows as part of a sentence: "412 rows wait"."""
        return formats.rows_wait(self.backlog.rows or 0)

    @property
    def least_words(self) -> str:
        """What is known to wait while the server does not answer."""
        if not self.backlog.at_least:
            return _("unknown")
        return formats.at_least(formats.number(self.backlog.at_least))

    @property
    def oldest(self) -> datetime | None:
        """The time at which the oldest waiting row was staged."""
        return self.backlog.oldest if self.backlog.rows else None

    @property
    def oldest_words(self) -> str:
        if self.oldest is None:
            return ""
        return _("The oldest was staged %(ago)s.") % {"ago": formats.ago(self.oldest)}

    @property
    def asked_at(self) -> datetime | None:
        at = self.backlog.asked_at
        return None if at == NEVER else at

    @property
    def error_words(self) -> str:
        """Why the backlog is not known."""
        return explain(self.backlog.error).sentence if self.backlog.error else ""

    @property
    def is_overdue(self) -> bool:
        return is_overdue(self.task)

    @property
    def next_words(self) -> str:
        """When the task runs next; if it is off, when it would run."""
        at = formats.moment(self.task.upcoming_at or self.times[0])
        if not self.task.enabled:
            return _("switched on, it would run %(at)s") % {"at": at}
        if self.task.upcoming_at is None:
            return _("not planned yet")
        if self.is_overdue:
            since = formats.bound(self.task.upcoming_at)
            return _("overdue since %(at)s") % {"at": since}
        if self.task.upcoming_at == self.task.retry_at:
            return _("tried again %(at)s") % {"at": at}
        if self.runs_as_rows_arrive:
            return _("runs as rows arrive")
        if self.task.as_rows_arrive:
            return _("runs every minute")
        return _("next run %(at)s") % {"at": at}

    @property
    def runs_as_rows_arrive(self) -> bool:
        """Whether its runs begin within seconds of a commit, and not at a planned time."""
        return bool(self.task.as_rows_arrive) and self.is_looked_for and not self.task.retry_at

    @property
    def is_looked_for(self) -> bool:
        """Whether a resident process has looked for rows that arrive for this task."""
        at = self.task.looked_at
        return at is not None and timezone.now() - at < LOOK_COUNTS

    @property
    def why(self) -> str:
        """Why the rows wait."""
        return why(self.task)

    @property
    def failure(self) -> Explanation | None:
        """Why the last run failed, if it did."""
        run = self.last_run
        if run is None or not self.task.failures:
            return None
        if run.state == "interrupted":
            return Explanation(_("The process that ran it is gone."), "")
        return run.explained

    @property
    def report(self) -> list[str]:
        """What the last run of a maintenance task did."""
        return [] if self.is_transfer or self.last_run is None else run_report(self.last_run)

    @property
    def meaning(self) -> str:
        """What its switch means now, in one sentence."""
        if self.task.enabled:
            return self._meaning_on()
        if not self.is_transfer:
            return _("It does not run by itself.")
        if self.backlog.rows is None:
            return _("Rows that are staged from now on wait until it is switched on again.")
        if not self.backlog.rows:
            return _("Nothing waits now; new rows wait until it is switched on again.")
        return _("%(waits)s until it is switched on again.") % {"waits": self.backlog_sentence}

    def _meaning_on(self) -> str:
        at = self.task.upcoming_at
        if at is None:
            return _("The scheduler has not planned the task yet.")
        words = {"waits": self.backlog_sentence, "next": self.next_words}
        if not self.is_transfer or self.backlog.rows is None:
            return formats.sentence(self.next_words)
        if not self.backlog.rows:
            return _("Nothing waits; %(next)s.") % words
        return _("%(waits)s; %(next)s.") % words
