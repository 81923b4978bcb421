"""Problems of the demo that people look after: one that is taken, and one that is muted."""

from django.contrib.auth.models import User as AuthUser
from django.utils.translation import gettext as _

from transfer.models import Actor, AuditEntry, Incident
from transfer.models.alerts import Topic
from transfer.problems import taking

Action = AuditEntry.Action


def carry_on() -> None:
    """Once the scheduler has noted them: take the rejected rows, mute the load that waits; once."""
    operator = Actor.user_at(AuthUser.objects.get(username="operator"))
    if (rejects := _untouched(Topic.REJECTS, Action.TAKE)) is not None:
        taking.take(rejects, operator, note=_("I correct them with head office."))
    if (waits := _untouched(Topic.APPROVALS, Action.MUTE)) is not None:
        taking.mute(waits, operator, until=None, reason=_("It is approved in the morning."))


def _untouched(topic: Topic, action: Action) -> Incident | None:
    """Return the open problem of this topic; None if the demo has done this before, or has none."""
    if AuditEntry.objects.filter(action=action).exists():
        return None
    return Incident.objects.open().filter(topic=topic).first()
