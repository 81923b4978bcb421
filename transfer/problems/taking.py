"""Somebody looks after a problem: takes it, takes it over, gives it back, mutes it.

Each change is in the audit, in one transaction with it. A problem is taken as long as it lasts: a
later one of the same kind is another one, and free. Likewise, muting concerns one problem as long
as it lasts and gets no worse: nobody is sent a message about it, and all pages show it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from transfer.causes.problems import (
    PROBLEM_ENDED,
    PROBLEM_NOT_MUTED,
    PROBLEM_NOT_TAKEN,
    PROBLEM_TAKEN,
)
from transfer.errors import TransferError
from transfer.models import Actor, AuditEntry, Incident
from transfer.models.alerts import Severity
from transfer.models.audit import without_link
from transfer.problems import outages
from transfer.text import formats

Action = AuditEntry.Action
NOT_TAKEN: dict[str, Any] = {"taken_by": "", "taken_at": None, "taken_note": ""}
NOT_MUTED: dict[str, Any] = {
    "muted_by": "",
    "muted_at": None,
    "muted_until": None,
    "mute_reason": "",
    "muted_level": None,
}


def take(incident: Incident, actor: Actor, *, note: str = "", over: bool = False) -> None:
    """Notes that the actor looks after the problem from now on. `note` is shown beside it.

    Who has taken it already may change the note. Raises TransferError if the problem has ended, or
    if somebody else has taken it and it is not to be taken `over`.
    """
    with _locked(incident):
        is_own = incident.is_taken and incident.taken_by == actor.name
        if incident.is_taken and not is_own and not over:
            since = formats.bound(incident.taken_at, zone=True)
            raise TransferError(PROBLEM_TAKEN, who=incident.taken_by, since=since)
        if is_own and incident.taken_note == note:
            return
        old = {"taken_by": incident.taken_by} if incident.is_taken else {}
        if not is_own:
            incident.taken_by, incident.taken_at = actor.name, timezone.now()
        incident.taken_note = note
        incident.save(update_fields=["taken_by", "taken_at", "taken_note"])
        new = {"taken_by": incident.taken_by}
        if actor.is_by_link:
            new["by_link"] = without_link(actor.name)
        AuditEntry.record(actor, Action.TAKE, incident, old=old, new=new, reason=note)


def give_back(incident: Incident, actor: Actor) -> None:
    """Notes that nobody looks after the problem any more.

    Raises TransferError if the problem has ended, or nobody has taken it.
    """
    with _locked(incident):
        if not incident.is_taken:
            raise TransferError(PROBLEM_NOT_TAKEN)
        old = {"taken_by": incident.taken_by}
        # Who is told next is told so many minutes after this.
        _set(incident, {**NOT_TAKEN, "waits_since": None})
        AuditEntry.record(actor, Action.GIVE_BACK, incident, old=old)


def mute(incident: Incident, actor: Actor, *, until: datetime | None, reason: str) -> None:
    """Sends nobody a message about the problem, until a time or, without one, until it gets worse.

    It also ends when the problem gets worse before that time. Raises TransferError: it has ended.
    """
    with _locked(incident):
        values = {
            "muted_by": actor.name,
            "muted_at": timezone.now(),
            "muted_until": until,
            "mute_reason": reason,
            "muted_level": level(incident),
            "waits_since": None,
        }
        _set(incident, values)
        new = {"muted_until": until}
        AuditEntry.record(actor, Action.MUTE, incident, new=new, reason=reason)


def unmute(incident: Incident, actor: Actor) -> None:
    """Lets messages go on. Raises TransferError: the problem has ended, or is not muted."""
    with _locked(incident):
        if not incident.is_muted:
            raise TransferError(PROBLEM_NOT_MUTED)
        _set(incident, NOT_MUTED)
        AuditEntry.record(actor, Action.UNMUTE, incident)


def is_worse(incident: Incident, now: datetime) -> bool:
    """Whether the problem is muted, and worse than when it was."""
    before = incident.muted_level
    return incident.is_muted_at(now) and before is not None and level(incident) > before


@transaction.atomic
def unmute_worse(incident: Incident, now: datetime) -> None:
    """Lets messages about a problem go on that has got worse; everybody is told so at once."""
    _set(incident, {**NOT_MUTED, "worse_at": now})
    AuditEntry.record(Actor(""), Action.UNMUTE, incident, new={"worse": True})


def level(incident: Incident) -> list[Any]:
    """How bad the problem is: a list, for JSON, which is greater than that of a lesser one."""
    return [incident.severity == Severity.BAD, *outages.rank(incident.params)]


def _set(incident: Incident, values: dict[str, Any]) -> None:
    for name, value in values.items():
        setattr(incident, name, value)
    incident.save(update_fields=list(values))


@contextmanager
def _locked(incident: Incident) -> Iterator[None]:
    """Reads the problem anew, and keeps others from changing it. Raises TransferError: ended."""
    with transaction.atomic():
        incident.refresh_from_db(from_queryset=Incident.objects.select_for_update())
        if incident.ended_at:
            since = formats.bound(incident.until or incident.ended_at, zone=True)
            raise TransferError(PROBLEM_ENDED, since=since)
        yield
