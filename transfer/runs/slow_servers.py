"""Finds bonus servers whose jobs take up the workers, while jobs of others wait."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django_tasks_db.models import DBTaskResult

from transfer.models import BonusServer, RecurringJob
from transfer.queue.jobs import WORK, queue_of_server

LATELY = timedelta(minutes=15)  # how far back a job that waited counts
LONG = timedelta(minutes=1)  # that a job waited, and that the server's jobs took meanwhile
NOTHING = timedelta(0)


@dataclass(frozen=True)
class Span:
    """From when to when an entry of this queue waited, or was worked off."""

    queue: str
    begin: datetime
    end: datetime

    @classmethod
    def of(cls, entries: Any, begin: str, end: str, now: datetime) -> list[Self]:
        """Return the spans of these entries; one that has not ended lasts until now."""
        listed = entries.order_by().values_list("queue_name", begin, end)
        return [cls(queue, since, until or now) for queue, since, until in listed]

    def shared(self, other: "Span") -> timedelta:
        """Return how long both lasted at the same time."""
        return max(min(self.end, other.end) - max(self.begin, other.begin), NOTHING)


def slow_servers(now: datetime) -> dict[BonusServer, datetime]:
    """Return the servers that have lately taken up the workers, each with since when others wait.

    A job of another server, or of none, waited for more than a minute; meanwhile the jobs of this
    server took more than a minute, and more than half of the time of all workers. Recurring jobs
    do not count: they wait until nothing else does. One query while no job waits for so long.
    """
    waits = _long_waits(now)
    if not waits:
        return {}
    turns = _turns(min(wait.begin for wait in waits), now)
    slow: dict[str, datetime] = {}
    for wait in waits:
        if (queue := _taken_by(wait, turns)) not in (None, wait.queue):
            slow[queue] = min(wait.begin, slow.get(queue, wait.begin))
    servers = {queue_of_server(server.pk): server for server in BonusServer.objects.all()}
    return {servers[queue]: since for queue, since in slow.items() if queue in servers}


def long_waiting(now: datetime) -> Any:
    """Return the entries that wait too long, or have lately."""
    entries = DBTaskResult.objects.filter(priority__gt=RecurringJob.PRIORITY)
    taken_lately = entries.annotate(taken=Coalesce("started_at", now)).filter(
        taken__gt=now - LATELY
    )
    return taken_lately.filter(taken__gt=F("enqueued_at") + LONG)


def _long_waits(now: datetime) -> list[Span]:
    """Return the longest wait in each queue, of those that have lately been too long."""
    longest: dict[str, Span] = {}
    for one in Span.of(long_waiting(now), "enqueued_at", "started_at", now):
        if one.queue not in longest or _length(one) > _length(longest[one.queue]):
            longest[one.queue] = one
    return list(longest.values())


def _turns(since: datetime, now: datetime) -> list[Span]:
    """Return when workers worked off which queue. One that was killed leaves an entry behind."""
    running = list(DBTaskResult.objects.running().values_list("pk", flat=True))
    alive: list[Any] = []
    for model in WORK:
        jobs: Any = model._default_manager
        at_work = jobs.locked().filter(queue_entry__in=running)
        alive += at_work.values_list("queue_entry", flat=True)
    taken = DBTaskResult.objects.filter(Q(finished_at__gt=since) | Q(pk__in=alive))
    return Span.of(taken, "started_at", "finished_at", now)


def _taken_by(wait: Span, turns: list[Span]) -> str | None:
    """Return the queue whose jobs took most of the workers' time during the wait, if any did."""
    taken: dict[str, timedelta] = {}
    for turn in turns:
        taken[turn.queue] = taken.get(turn.queue, NOTHING) + wait.shared(turn)
    for queue, time in taken.items():
        if time > LONG and 2 * time > sum(taken.values(), NOTHING):
            return queue
    return None


def _length(span: Span) -> timedelta:
    return span.end - span.begin
