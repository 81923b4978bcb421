"""Every minute: what began, what is well again, and who is to be told.

Any number of ticks may look at once: one of them does, and the database refuses a second message.
"""

from contextlib import suppress
from datetime import datetime, timedelta

from django.db import transaction

from transfer.alerts.conditions import Condition, Unknown, conditions
from transfer.errors import AlreadyRunning
from transfer.models.alerts import Incident, Notice, PlannedWork, Recipient, Topic
from transfer.queue.locks import Space, lock

Sort = Notice.Sort
# What was rejected since the last message is told at most so often.
DIGEST = timedelta(hours=1)


def watch(now: datetime) -> None:
    """Opens and closes incidents, and puts the messages about them into the queue."""
    for work in PlannedWork.objects.under_way(now):
        work.pause_tasks(now)
    recipients = list(Recipient.objects.filter(enabled=True))
    wanted = {topic for one in recipients for topic in one.topics}
    if wanted or Incident.objects.open().exists():
        with suppress(AlreadyRunning), lock(Space.WATCH, 0):
            _note(conditions(sorted(wanted), now), now)
            _tell(recipients, now)


@transaction.atomic
def _note(held: list[Condition], now: datetime) -> None:
    """What nobody wants to hear of any more ends with what is well again."""
    of = {(one.topic, one.key): one for one in held}
    for incident in Incident.objects.open():
        condition = of.pop((Topic(incident.topic), incident.key), None)
        if condition is None:
            incident.ended_at = now
        elif not isinstance(condition, Unknown):
            incident.params, incident.url = condition.params, condition.url
        incident.save()
    Incident.objects.bulk_create(
        Incident(**vars(one), began_at=now) for one in of.values() if not isinstance(one, Unknown)
    )


def _tell(recipients: list[Recipient], now: datetime) -> None:
    worked_on = set(PlannedWork.objects.under_way(now).values_list("server", flat=True))
    ended_lately = Incident.objects.filter(ended_at__gt=now - timedelta(days=2))
    for incident in [*Incident.objects.open(), *ended_lately]:
        if incident.ended_at is None and worked_on & {None, incident.server_id}:
            continue
        for recipient in recipients:
            if incident.topic not in recipient.topics or recipient.is_quiet(now):
                continue
            if notice := _due(recipient, incident, now):
                with transaction.atomic():
                    notice.save()
                    notice.enqueue()


def _due(recipient: Recipient, incident: Incident, now: datetime) -> Notice | None:
    """What the recipient has still to be told of the incident at this moment."""
    last = recipient.notices.filter(incident=incident).first()
    if last is None:
        sort = None if incident.ended_at else Sort.BEGAN
    elif incident.ended_at:
        sort = None if last.sort == Sort.ENDED else Sort.ENDED
    else:
        sort = Sort.REMINDER if _is_time(recipient, incident, last, now) else None
    if sort is None:
        return None
    number = last.number + 1 if last and sort == Sort.REMINDER else 0
    return Notice(
        recipient=recipient,
        incident=incident,
        sort=sort,
        number=number,
        params=incident.params,
        created_at=now,
    )


def _is_time(recipient: Recipient, incident: Incident, last: Notice, now: datetime) -> bool:
    every = Recipient.EVERY.get(Recipient.Reminders(recipient.reminders))
    if incident.params.get("last", 0) > last.params.get("last", 0):  # new rejects
        every = min(every or DIGEST, DIGEST)
    return every is not None and now - last.created_at >= every
