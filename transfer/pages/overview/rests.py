"""Transfers that rest because somebody wants it: paused, or switched off. That is no problem."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _, ngettext

from transfer.models import PlannedWork
from transfer.pages.links import with_query
from transfer.pages.shown.task_status import TaskStatus
from transfer.text import formats


@dataclass(frozen=True)
class Rest:
    """Tasks that rest for the same reason, until the same time.

    `server` and `server_id` are empty and None where they are those of several bonus servers.
    `until`: None where they are switched off, which ends when somebody switches them on. `since`:
    when they were switched off; of a pause only its end is known.
    """

    rows: Sequence[TaskStatus]
    server: str
    server_id: int | None
    until: datetime | None
    since: datetime | None
    by: str
    reason: str

    @property
    def sentence(self) -> str:
        """What rests, and until when."""
        if self.until is None:
            return _("%(what)s: switched off") % {"what": self._what}
        names = {"what": self._what, "until": formats.bound(self.until, zone=True)}
        return _("%(what)s: paused until %(until)s") % names

    @property
    def _what(self) -> str:
        """The task, or how many they are and of which server."""
        if len(self.rows) == 1:
            return self.rows[0].name
        words = ngettext("%(n)s transfer", "%(n)s transfers", len(self.rows))
        transfers = words % {"n": formats.number(len(self.rows))}
        return f"{transfers} → {self.server}" if self.server else transfers

    @property
    def waits(self) -> str:
        """How many rows wait meanwhile, as far as that is known; empty if none does."""
        waiting = sum(row.backlog.rows or 0 for row in self.rows)
        return formats.rows_wait(waiting) if waiting else ""

    @property
    def url(self) -> str:
        state = "disabled" if self.until is None else "paused"
        return with_query(reverse("scheduler"), server=self.server_id, state=state)


def rests(rows: Iterable[TaskStatus], works: Iterable[PlannedWork]) -> list[Rest]:
    """Return what rests, without what planned work has paused: that is listed itself.

    A task that nobody has ever switched on or off rests only if rows wait for it.
    """
    stopped = {(one.ends_at, one.reason) for one in works if one.stops}
    grouped: dict[tuple[object, ...], list[TaskStatus]] = {}
    for row in rows:
        task = row.task
        if row.is_paused and (task.paused_until, task.pause_reason) in stopped:
            continue
        if not task.enabled and (task.changed_at or row.backlog.rows):
            key = (None, task.changed_by, task.change_reason)
        elif task.enabled and row.is_paused:
            # Tasks that are paused at once for half an hour are so to the minute.
            until = task.paused_until.replace(second=0, microsecond=0)
            key = (until, task.paused_by, task.pause_reason)
        else:
            continue
        grouped.setdefault(key, []).append(row)
    return [_rest(members) for members in grouped.values()]


def _rest(rows: list[TaskStatus]) -> Rest:
    first = rows[0]
    task = first.task
    is_off = not task.enabled
    is_of_one = len({row.server_id for row in rows}) == 1
    return Rest(
        rows,
        first.server_name if is_of_one else "",
        first.server_id if is_of_one else None,
        until=None if is_off else task.paused_until,
        since=task.changed_at if is_off else None,
        by=task.changed_by if is_off else task.paused_by,
        reason=task.change_reason if is_off else task.pause_reason,
    )
