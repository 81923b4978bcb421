"""Messages as their recipient reads them: a subject, and what happened, means and to do."""

from django.utils.translation import gettext as _, ngettext

from transfer.alerts import letter
from transfer.models import Statement
from transfer.models.alerts import Incident, Notice
from transfer.problems import groups, history, kinds
from transfer.text import formats


def subject(notice: Notice) -> str:
    """Says in one line what it is about, and whether it began, goes on or is over."""
    incident = notice.incident
    if notice.event == Notice.Event.LETTER:
        return _("Data Transfer: the letter of the morning")
    if notice.event == Notice.Event.STATEMENT:
        return _("Data Transfer: the statement of %(first)s to %(last)s") % _days(notice)
    if incident is None:
        return _("Data Transfer: a test message")
    match Notice.Event(notice.event):
        case Notice.Event.ENDED:
            ended = [one.incident for one in _together(notice) if one.incident]
            if len(ended) == 1:
                was = kinds.past(incident.code, notice.params)
            else:
                was = history.alike(ended)
            return _("Resolved: %(what)s") % {"what": was}
        case Notice.Event.REMINDER:
            return _("Still: %(what)s") % {"what": _what_is(notice, incident)}
    return _what_is(notice, incident)


def kind(notice: Notice) -> tuple[str, ...]:
    """The key of messages that can be sent as one; empty if it is sent alone."""
    if notice.incident is None:
        return ()
    of = history.kind if notice.event == Notice.Event.ENDED else groups.kind
    alike = of(notice.incident.code, notice.params)
    return (notice.event, *alike) if alike else ()


def _together(notice: Notice) -> list[Notice]:
    """The message, and those that it summarises."""
    return [notice, *sorted(notice.tells.all(), key=lambda one: one.pk)]


def _what_is(notice: Notice, incident: Incident) -> str:
    together = _together(notice)
    if len(together) == 1:
        return kinds.sentence(incident.code, notice.params)
    return groups.sentence(incident.code, [one.params for one in together])


def body(notice: Notice) -> str:
    """What to do, or how long it lasted; of each server, if that is not the same for all."""
    together = _together(notice)
    if len(together) == 1:
        return _body(notice)
    name = kinds.past if notice.event == Notice.Event.ENDED else kinds.sentence
    return "\n\n".join(
        f"{name(one.incident.code, one.params)}\n{_body(one)}" for one in together if one.incident
    )


def _body(notice: Notice) -> str:
    incident = notice.incident
    if notice.event == Notice.Event.LETTER:
        return letter.text(notice.params)
    if notice.event == Notice.Event.STATEMENT:
        made = statement_of(notice)
        text = _(
            "Statement %(n)s of %(first)s to %(last)s: what was staged, received and rejected. "
            "The JSON file is the signed one. Its digest is %(digest)s"
        )
        return text % {"n": made.number, "digest": made.digest, **_days(notice)}
    if incident is None:
        return _("Messages of Data Transfer arrive here.")
    if notice.event == Notice.Event.ENDED and incident.ended_at:
        lasted = _("It lasted %(time)s, %(period)s.") % {
            "time": formats.duration(incident.lasted),
            "period": formats.period(incident.began_at, incident.until or incident.ended_at),
        }
        return " ".join(filter(None, [lasted, caught_up(incident)]))
    since = _("Since %(since)s.") % {"since": formats.bound(incident.began_at, zone=True)}
    return f"{kinds.hint(incident.code, notice.params)}\n{since}"


def statement_of(notice: Notice) -> Statement:
    """Return the statement that the message brings."""
    return Statement.objects.get(number=notice.params["number"])


def _days(notice: Notice) -> dict[str, str]:
    made = statement_of(notice)
    return {
        "first": formats.day_in_numbers(made.first),
        "last": formats.day_in_numbers(made.last),
    }


def how_to_take(link: str) -> str:
    """How to take the problem by the link; empty without one."""
    return _("To take it, within an hour: %(link)s") % {"link": link} if link else ""


def caught_up(incident: Incident) -> str:
    """How many rows waited for a server, and when they were moved; empty if none did."""
    if incident.caught_up_at is None:
        return ""
    waited = ngettext(
        "%(rows)s row waited; it was moved by %(at)s.",
        "%(rows)s rows waited; all were moved by %(at)s.",
        incident.waited or 0,
    )
    return waited % {
        "rows": formats.number(incident.waited),
        "at": formats.moment(incident.caught_up_at),
    }
