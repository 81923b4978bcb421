"""What is known of the tasks' backlogs, so that no page has to wait for a server.

It is kept in the memory of the process: a page shows at once what is known, and asks afterwards.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from transfer.backlog import Backlog, backlogs
from transfer.models import TransferTask

FRESH = timedelta(seconds=5)
# Who does not answer is not asked at each look: that takes the whole time allowed.
FRESH_FAILURE = timedelta(seconds=30)


@dataclass(frozen=True)
class Known:
    """A backlog, and when it was asked for."""

    backlog: Backlog
    at: datetime

    def is_fresh(self, now: datetime) -> bool:
        return now - self.at < (FRESH_FAILURE if self.backlog.error else FRESH)


_known: dict[int, Known] = {}
_asking = threading.Lock()


def known(tasks: Iterable[TransferTask]) -> dict[int, Known]:
    """What was heard last of each task, however long ago. Asks nobody."""
    return {task.pk: _known[task.pk] for task in tasks if task.pk in _known}


def ask(tasks: Iterable[TransferTask], *, seconds: float = 3) -> dict[int, Known]:
    """The same after asking for what is no longer fresh. Takes twice `seconds` at most.

    One asks at a time: ten open tabs are no more to a bonus server than one.
    """
    listed = list(tasks)
    if _asking.acquire(timeout=seconds):
        try:
            now = timezone.now()
            stale = [t for t in listed if t.pk not in _known or not _known[t.pk].is_fresh(now)]
            for pk, backlog in backlogs(stale, seconds=seconds).items():
                _known[pk] = Known(backlog, timezone.now())
        finally:
            _asking.release()
    return known(listed)


def forget() -> None:
    """As if nobody had been asked yet."""
    _known.clear()
