"""Somebody looks after a problem: takes it, takes it over, gives it back.

Each change is in the audit, in one transaction with it. A problem is taken as long as it lasts: a
later one of the same kind is another one, and free.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction
from django.utils import timezone

from transfer.causes.problems import PROBLEM_ENDED, PROBLEM_NOT_TAKEN, PROBLEM_TAKEN
from transfer.errors import TransferError
from transfer.models import Actor, AuditEntry, Incident
from transfer.text import formats

Action = AuditEntry.Action


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
        AuditEntry.record(actor, Action.TAKE, incident, old=old, new=new, reason=note)


def give_back(incident: Incident, actor: Actor) -> None:
    """Notes that nobody looks after the problem any more.

    Raises TransferError if the problem has ended, or nobody has taken it.
    """
    with _locked(incident):
        if not incident.is_taken:
            raise TransferError(PROBLEM_NOT_TAKEN)
        old = {"taken_by": incident.taken_by}
        incident.taken_by, incident.taken_at, incident.taken_note = "", None, ""
        incident.save(update_fields=["taken_by", "taken_at", "taken_note"])
        AuditEntry.record(actor, Action.GIVE_BACK, incident, old=old)


@contextmanager
def _locked(incident: Incident) -> Iterator[None]:
    """Reads the problem anew, and keeps others from changing it. Raises TransferError: ended."""
    with transaction.atomic():
        incident.refresh_from_db(from_queryset=Incident.objects.select_for_update())
        if incident.ended_at:
            since = formats.bound(incident.until or incident.ended_at, zone=True)
            raise TransferError(PROBLEM_ENDED, since=since)
        yield
