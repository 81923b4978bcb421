"""Messages as their recipient reads them: a subject, and what happened, means and to do."""

from typing import Any

from django.utils.translation import gettext as _

from transfer.models.alerts import Incident, Notice
from transfer.problems import sentences
from transfer.text import formats

Params = dict[str, Any]


def subject(notice: Notice) -> str:
    """Says in one line what it is about, and whether it began, goes on or is over."""
    if notice.incident is None:
        return _("Data Transfer: a test message")
    what = sentence(notice.incident, notice.params)
    match Notice.Event(notice.event):
        case Notice.Event.ENDED:
            return _("Resolved: %(what)s") % {"what": what}
        case Notice.Event.REMINDER:
            return _("Still: %(what)s") % {"what": what}
    return what


def body(notice: Notice) -> str:
    """What to do, or how long it lasted."""
    incident = notice.incident
    if incident is None:
        return _("Messages of Data Transfer arrive here.")
    if notice.event == Notice.Event.ENDED and incident.ended_at:
        lasted = formats.duration(incident.ended_at - incident.began_at)
        return _("It lasted %(time)s, from %(began)s to %(ended)s.") % {
            "time": lasted,
            "began": formats.moment(incident.began_at),
            "ended": formats.moment(incident.ended_at),
        }
    since = _("Since %(since)s.") % {"since": formats.moment(incident.began_at)}
    return f"{hint(incident, notice.params)}\n{since}"


def sentence(incident: Incident, params: Params | None = None) -> str:
    """What is wrong."""
    return sentences.sentence(_code(incident), params or incident.params)


def hint(incident: Incident, params: Params | None = None) -> str:
    """What it means for the rows, and what to do."""
    return sentences.hint(_code(incident), params or incident.params)


def _code(incident: Incident) -> str:
    """One that a worker of the version before has begun has no code, but its topic is one."""
    return incident.code or incident.topic
