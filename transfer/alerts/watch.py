"""Every minute: which problems began and ended, and who gets a message.

Any number of ticks may look at once: one of them does, and the database refuses a second message.
"""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from transfer.alerts import letter, words
from transfer.errors import AlreadyRunning
from transfer.models import Settings
from transfer.models.alerts import Incident, Notice, Recipient, Severity
from transfer.models.planned_work import PlannedWork
from transfer.problems import incidents, outages
from transfer.problems.find import find_problems
from transfer.problems.groups import ENOUGH
from transfer.queue.locks import Space, lock

Event = Notice.Event
# The least time between two messages about rejected rows.
DIGEST = timedelta(hours=1)


def watch(now: datetime) -> None:
    """Notes which problems began and ended, and puts the messages about them into the queue."""
    for work in PlannedWork.objects.under_way(now):
        work.pause_tasks(now)
    with suppress(AlreadyRunning), lock(Space.WATCH, 0):
        incidents.note_incidents(find_problems(now), now)
        enabled = Recipient.objects.filter(enabled=True).prefetch_related("servers", "shops")
        recipients = list(enabled)
        _queue_notices(recipients, now)
        letter.queue_letters(recipients, now)


def _queue_notices(recipients: list[Recipient], now: datetime) -> None:
    if not recipients:
        return
    worked_on = set(PlannedWork.objects.under_way(now).values_list("server", flat=True))
    ended_lately = Incident.objects.filter(ended_at__gt=now - timedelta(days=2))
    listed = [
        one
        for one in [*Incident.objects.open(), *ended_lately]
        if one.ended_at or not (worked_on & {None, one.server_id} or one.is_muted_at(now))
    ]
    lasting = [one for one in listed if one.notify and not one.ended_at]
    bad = [one for one in lasting if one.severity == Severity.BAD and one.waits_since is None]
    for incident in bad:
        incident.waits_since = now
    Incident.objects.filter(pk__in=[one.pk for one in bad]).update(waits_since=now)
    order = _Order(recipients, timedelta(minutes=Settings.load().escalation_minutes))
    # The last message about each incident that was written to each recipient, in one query.
    pair = ("recipient_id", "incident_id")
    notices = Notice.objects.filter(incident__in=listed).order_by(*pair, "-id").distinct(*pair)
    last = {(one.recipient_id, one.incident_id): one for one in notices}
    for recipient in recipients:
        is_quiet = recipient.is_quiet(now)
        due = []
        for incident in listed:
            if not recipient.wants(incident):
                continue
            before = last.get((recipient.pk, incident.pk))
            if before is None and not order.is_turn(recipient, incident, now):
                continue
            notice = _due(recipient, incident, before, now)
            if notice is None:
                continue
            is_news = notice.event != Event.REMINDER
            if not is_quiet or (recipient.urgent_always and incident.is_urgent and is_news):
                due.append(notice)
        for first, *others in _alike(due):
            first.queue(others)


class _Order:
    """Who is told of a problem first, and who after how many minutes in which nobody took it."""

    def __init__(self, recipients: list[Recipient], wait: timedelta) -> None:
        self.recipients, self.wait = recipients, wait

    def is_turn(self, recipient: Recipient, incident: Incident, now: datetime) -> bool:
        """Whether a recipient who has not been told of the incident may be.

        Those at the first place that anybody who wants to be told of it has; the others if it is
        serious, one place after the other. Quiet hours of those before do not delay them.
        """
        places = sorted({one.place for one in self.recipients if one.wants(incident)})
        before = places.index(recipient.place)
        if before == 0:
            return True
        if incident.is_taken or incident.severity != Severity.BAD or incident.waits_since is None:
            return False
        return now - incident.waits_since >= before * self.wait


def _alike(due: list[Notice]) -> Iterable[list[Notice]]:
    """The messages that are to be sent, each with those that say the same of other servers."""
    by_kind: dict[Any, list[Notice]] = {}
    for number, notice in enumerate(due):
        by_kind.setdefault(words.kind(notice) or number, []).append(notice)
    for alike in by_kind.values():
        if len(alike) < ENOUGH:
            yield from ([one] for one in alike)
        else:
            yield alike


def _due(
    recipient: Recipient, incident: Incident, last: Notice | None, now: datetime
) -> Notice | None:
    """The message that the recipient gets now about the incident, if any.

    `last`: the one before it.
    """
    if last is None:
        event = Event.BEGAN if incident.notify and not incident.ended_at else None
    elif incident.ended_at:
        event = None if last.event == Event.ENDED else Event.ENDED
    elif outages.rank(incident.params) > outages.rank(last.params) or (
        incident.worse_at and incident.worse_at > last.created_at  # it was muted
    ):
        event = Event.WORSE
    else:
        every = Recipient.EVERY.get(Recipient.Reminders(recipient.reminders))
        if incident.params.get("last", 0) > last.params.get("last", 0):  # new rejects
            every = min(every or DIGEST, DIGEST)
        is_time = every is not None and now - last.created_at >= every
        event = Event.REMINDER if is_time else None
    if event is None:
        return None
    repeats = last and event in (Event.REMINDER, Event.WORSE)
    number = last.number + 1 if last and repeats else 0
    return Notice(
        recipient=recipient,
        incident=incident,
        event=event,
        number=number,
        params=incident.params,
        created_at=now,
    )
