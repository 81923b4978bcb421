"""Says how long jobs wait for a worker: whether one is there, and since when the queue stands."""

from datetime import datetime, timedelta

from django.db.models import Min, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _, ngettext
from django_tasks_db.models import DBTaskResult

from transfer.models import Heartbeat, RecurringJob
from transfer.queue.residents import Workers, count_workers
from transfer.schedule import following_minute
from transfer.text import formats

# An entry that waits longer is stuck: while something takes entries, and while nothing does. A
# worker that restarts needs some seconds.
QUEUED_LONG = timedelta(minutes=3)
QUEUED_IN_VAIN = timedelta(seconds=30)


def waiting_entries() -> QuerySet[DBTaskResult]:
    """Entries of the queue that wait, without those of recurring jobs, which come last."""
    return DBTaskResult.objects.ready().filter(priority__gt=RecurringJob.PRIORITY)


def oldest_entry() -> datetime | None:
    """Since when the oldest entry of the queue waits, without those of recurring jobs."""
    return _oldest(waiting_entries())


def _oldest(entries: QuerySet[DBTaskResult]) -> datetime | None:
    oldest: datetime | None = entries.aggregate(at=Min("enqueued_at"))["at"]
    return oldest


def is_drained() -> bool:
    """Whether anything takes entries from the queue: a resident worker, or the tick of cron."""
    return bool(count_workers().resident) or any(beat.drains for beat in Heartbeat.alive())


def stuck_since() -> datetime | None:
    """Since when the oldest entry of the queue waits, if it waits too long; else None.

    Where nothing takes entries, this is within a minute, and recurring jobs count as well: they may
    be all that is ever queued.
    """
    if is_drained():
        return _waits_longer(waiting_entries(), QUEUED_LONG)
    return _waits_longer(DBTaskResult.objects.ready(), QUEUED_IN_VAIN)


def _waits_longer(entries: QuerySet[DBTaskResult], limit: timedelta) -> datetime | None:
    """Since when the oldest of the entries waits, if that is longer than the limit."""
    oldest = _oldest(entries)
    return oldest if oldest and timezone.now() - oldest > limit else None


def in_words(workers: Workers) -> str:
    """Whether a run that is queued now starts at once."""
    if not workers.resident:
        if is_drained():
            return _("no background worker: runs start within a minute")
        return _("no background worker: runs that are queued do not start")
    if not workers.free:
        return ngettext(
            "%(n)d background worker, busy: runs start as soon as it is free",
            "%(n)d background workers, all busy: runs start as soon as one is free",
            workers.resident,
        ) % {"n": workers.resident}
    return ngettext(
        "%(n)d background worker: runs start at once",
        "%(n)d background workers: runs start at once",
        workers.resident,
    ) % {"n": workers.resident}


def when_it_starts(runs: int = 1) -> str:
    """A sentence about runs that wait in the queue."""
    workers, beat = count_workers(), Heartbeat.last()
    if workers.free and workers.free >= waiting_entries().count():
        return ngettext("It starts at once.", "They start at once.", runs)
    if workers.resident:
        return ngettext(
            "It starts as soon as a worker is free.",
            "They start as soon as a worker is free.",
            runs,
        )
    if beat is None or not beat.is_alive():
        return ngettext(
            "It waits: there is no background worker, and the scheduler is silent.",
            "They wait: there is no background worker, and the scheduler is silent.",
            runs,
        )
    if not is_drained():
        return ngettext(
            "It waits: there is no background worker.",
            "They wait: there is no background worker.",
            runs,
        )
    return ngettext(
        "It starts within a minute, %(at)s at the latest.",
        "They start within a minute, %(at)s at the latest.",
        runs,
    ) % {"at": formats.moment(following_minute(timezone.now()))}
