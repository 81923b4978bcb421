"""A server that was just docked: the rows on their way to it, until its transfers have run."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from transfer.pages.shown.task_status import TaskStatus
from transfer.text import formats


@dataclass(frozen=True)
class FirstRun:
    """The transfers of a server that have never run well, and are not meant to stay off."""

    rows: list[TaskStatus]

    @property
    def off(self) -> list[TaskStatus]:
        """The tasks that nobody has switched yet."""
        return [row for row in self.rows if not row.task.enabled]

    @property
    def is_known(self) -> bool:
        """Whether it is known how many rows wait for each of them."""
        return all(row.backlog.rows is not None for row in self.rows)

    @property
    def fails(self) -> bool:
        return any(row.backlog.error for row in self.rows)

    @property
    def waiting(self) -> int:
        return sum(row.backlog.rows or 0 for row in self.rows)

    @property
    def kinds(self) -> str:
        """Each transfer with its rows: "Balance changes: 12, PIN codes: 3"."""
        parts = (
            f"{row.task.get_kind_display()}: {formats.number(row.backlog.rows)}"
            for row in self.rows
            if row.backlog.rows
        )
        return ", ".join(parts)

    @property
    def headline(self) -> str:
        if not self.waiting:
            return _("No row waits. It is sent what is staged from now on.")
        words = _("%(rows)s are ready for it.") if self.off else _("%(rows)s are on their way.")
        return words % {"rows": formats.rows(self.waiting)}

    @property
    def next_at(self) -> datetime:
        """The earliest time at which one of them runs, or would run if it was switched on."""
        return min(row.task.upcoming_at or row.times[0] for row in self.rows)

    @property
    def is_moving(self) -> bool:
        return any(row.is_running for row in self.rows)


def first_run(rows: list[TaskStatus]) -> FirstRun | None:
    """Return what is still to run the first time, of a server's tasks; None where nothing is.

    A task that somebody has switched off is meant to be off. So is one that was never switched on
    where another one has run.
    """
    never = [row for row in rows if row.last_success is None]
    has_run = len(never) < len(rows)
    new = [
        row for row in never if row.task.enabled or (row.task.changed_at is None and not has_run)
    ]
    return FirstRun(new) if new else None
