"""Messages as their recipient reads them: a subject, and what happened, means and to do."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _, ngettext

from transfer.errors import QueueStuck
from transfer.models.alerts import Incident, Notice, Topic
from transfer.words import formats
from transfer.words.explain import Explanation, explain, explain_code

Params = dict[str, Any]


def subject(notice: Notice) -> str:
    """Says in one line what it is about, and whether it began, goes on or is over."""
    if notice.incident is None:
        return _("Data Transfer: a test message")
    what = sentence(notice.incident, notice.params).rstrip(".")
    match Notice.Sort(notice.sort):
        case Notice.Sort.ENDED:
            return _("Resolved: %(what)s") % {"what": what}
        case Notice.Sort.REMINDER:
            return _("Still: %(what)s") % {"what": what}
    return what


def body(notice: Notice) -> str:
    """What to do, or how long it lasted."""
    incident = notice.incident
    if incident is None:
        return _("Messages of Data Transfer arrive here.")
    if notice.sort == Notice.Sort.ENDED and incident.ended_at:
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
    params = params or incident.params
    if incident.key == QueueStuck.code:
        return _stuck(params).sentence
    return SENTENCES[Topic(incident.topic)](params)


def hint(incident: Incident, params: Params | None = None) -> str:
    """What it means for the rows, and what to do."""
    params = params or incident.params
    if incident.key == QueueStuck.code:
        return _stuck(params).hint
    return HINTS[Topic(incident.topic)](params)


def _failed(params: Params) -> str:
    return f"{params['task']}: {explain_code(params['code'], params['error']).sentence}"


def _explained(params: Params) -> str:
    return explain_code(params["code"], params["error"]).hint


def _stuck(params: Params) -> Explanation:
    return explain(QueueStuck(since=_since(params)))


def _since(params: Params) -> str:
    return formats.moment(datetime.fromisoformat(params["since"]))


SENTENCES: dict[Topic, Callable[[Params], str]] = {
    Topic.REFUSAL: _failed,
    Topic.DIFFERENCE: lambda p: explain_code(p["code"], p["error"]).sentence,
    Topic.SCHEDULER: lambda p: _("The scheduler has been silent since %(at)s") % {"at": _since(p)},
    Topic.FAILURES: lambda p: (
        ngettext("%(task)s: the last run failed", "%(task)s: the last %(n)d runs failed", p["n"])
        % p
    ),
    Topic.LATE: lambda p: (
        _("%(task)s: %(waits)s, the oldest since %(at)s")
        % {"task": p["task"], "waits": formats.rows_wait(p["n"]), "at": _since(p)}
    ),
    Topic.REJECTS: lambda p: (
        ngettext(
            "%(rows)s rejected row waits for a decision",
            "%(rows)s rejected rows wait for a decision",
            p["n"],
        )
        % {"rows": formats.number(p["n"])}
    ),
    Topic.REGISTERS: lambda p: (
        ngettext(
            "%(shop)s: %(n)d register has not been seen for a day",
            "%(shop)s: %(n)d registers have not been seen for a day",
            p["n"],
        )
        % p
    ),
    Topic.LOCKED: lambda p: _("Too many wrong passwords for %(who)s: the log-in is locked") % p,
}
HINTS: dict[Topic, Callable[[Params], str]] = {
    Topic.REFUSAL: _explained,
    Topic.DIFFERENCE: _explained,
    Topic.SCHEDULER: lambda p: _(
        "Nothing runs by schedule until it runs again. See whether cron is up."
    ),
    Topic.FAILURES: lambda p: str(explain_code(p["code"], p["error"])),
    Topic.LATE: lambda p: _("They are not lost. See why the task does not move them."),
    Topic.REJECTS: lambda p: _(
        "Each row says why it was rejected. Correct it and send it again, or discard it."
    ),
    Topic.REGISTERS: lambda p: p["names"],
    Topic.LOCKED: lambda p: (
        _(
            "The last try came from %(address)s. If it was none of your people, somebody is "
            "guessing passwords: see the audit. An administrator lifts the lock on the page "
            "“Users”."
        )
        % p
    ),
}
