"""Problems in words of the reader's language, from their code and parameters."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _, gettext_noop, ngettext

from transfer.errors import QueueStuck, TransferError
from transfer.models import MaintenanceTask
from transfer.models.tasks import KindChoices
from transfer.problems import outage_words
from transfer.problems.codes import Code
from transfer.text import formats
from transfer.text.commands import as_typed_here
from transfer.text.explain import Explanation, explain

Params = dict[str, Any]

STEPS = {
    "clock": gettext_noop("look at the clock"),
    "dead_runs": gettext_noop("close runs whose process has ended"),
    "lost_jobs": gettext_noop("queue jobs again whose worker has ended"),
    "new_tasks": gettext_noop("plan tasks"),
    "due_tasks": gettext_noop("start tasks that are due"),
    "heartbeat": gettext_noop("note that the scheduler is alive"),
    "uploads": gettext_noop("remove old uploads"),
    "secrets": gettext_noop("remove old passwords"),
    "api_calls": gettext_noop("note the calls of the API in the audit"),
    "recurring_jobs": gettext_noop("queue the jobs that come back every few minutes"),
    "problems": gettext_noop("look for problems"),
    "queue": gettext_noop("work off the queue"),
    "arrivals": gettext_noop("look for rows that arrive"),
    "recurring_job": gettext_noop("do a job that waits for other databases"),
    "watchdog": gettext_noop("look whether the scheduler is alive"),
}


# Their sentences say since when.
WITH_TIME = (Code.SCHEDULER, Code.CLOCK, Code.QUEUE, Code.MESSAGES, Code.LATE, Code.WRITING)


def sentence(code: str, params: Params) -> str:
    """What is wrong, without a full stop."""
    return SENTENCES[Code(code)](params).rstrip(".")


def past(code: str, params: Params) -> str:
    """What was wrong, of a problem that is over."""
    if code == Code.OUTAGE:
        return outage_words.past(params) or _first_cause(params)
    return sentence(code, params)


def says_when(code: str, params: Params) -> bool:
    """Whether the sentence says since when it is wrong."""
    if code == Code.OUTAGE:
        return bool(params["silent"] or params["answered"])
    return code in WITH_TIME


def hint(code: str, params: Params) -> str:
    """What it means for the rows, and what to do."""
    return HINTS[Code(code)](params)


def task_name(params: Params) -> str:
    """The task of a problem. Incidents of earlier versions have its name."""
    kind = params.get("kind", "")
    if kind in KindChoices.values:
        names = {"kind": KindChoices(kind).label, "server": params["server"]}
        return _("%(kind)s → %(server)s") % names
    if kind in MaintenanceTask.Kind.values:
        return str(MaintenanceTask.Kind(kind).label)
    return str(params.get("task", ""))


def _moment(params: Params, name: str = "since") -> str:
    at = params.get(name)
    return formats.moment(datetime.fromisoformat(at)) if at else formats.NOTHING


def _clock(params: Params, name: str = "since") -> str:
    """A moment that fits after "since" and "until"."""
    at = params.get(name)
    return formats.clock_or_date(datetime.fromisoformat(at)) if at else formats.NOTHING


def _cause(params: Params) -> Explanation:
    if params.get("interrupted"):
        return Explanation(_("The process that ran it is gone."), "")
    return explain(TransferError.saved(params["code"], params["error"]))


def _stuck(params: Params) -> Explanation:
    return explain(QueueStuck(since=_clock(params)))


def _step(params: Params) -> str:
    step = str(params["step"])
    return _("A step in the background fails: %(step)s") % {"step": _(STEPS.get(step, step))}


def _first_cause(params: Params) -> str:
    """Of an outage whose doors all answer."""
    if not params["doors"] and params["failing"] > 1:
        return outage_words.several_fail(params)
    code, of_cause = params["causes"][0]
    return sentence(code, of_cause)


def _outage(params: Params) -> str:
    if now := outage_words.now(params):
        return now
    waits = outage_words.waits(params) if params["doors"] else ""
    return "; ".join(filter(None, [_first_cause(params), waits]))


def _outage_hint(params: Params) -> str:
    if common := outage_words.hint(params):
        return common
    code, of_cause = params["causes"][0]
    calm = _("Transfers are not affected.") if outage_words.leaves_transfers_alone(params) else ""
    return f"{calm} {hint(code, of_cause)}".strip()


def _failures(params: Params) -> str:
    text = ngettext(
        "%(task)s: the last run failed", "%(task)s: the last %(n)d runs failed", params["n"]
    )
    return text % {"task": task_name(params), "n": params["n"]}


def _why_it_failed(params: Params) -> str:
    cause = str(_cause(params)).strip()
    if not params.get("next"):
        return cause
    return f"{cause} {_('Next attempt: %(at)s.') % {'at': _moment(params, 'next')}}"


def _waits(params: Params) -> str:
    return formats.rows_wait(params["n"], params.get("more", ""))


def _late(params: Params) -> str:
    names = {"task": task_name(params), "waits": _waits(params), "at": _clock(params)}
    return _("%(task)s: %(waits)s, the oldest since %(at)s") % names


def _slow(params: Params) -> str:
    names = {
        "task": task_name(params),
        "late": formats.number(params["late"]),
        "rows": formats.rows(params["rows"]),
        "limit": formats.span(params["limit"]),
    }
    return (
        _("%(task)s: %(late)s of %(rows)s of the last 24 hours took longer than %(limit)s") % names
    )


def _off(params: Params) -> str:
    names = {"task": task_name(params), "waits": _waits(params)}
    return _("%(task)s is switched off, and %(waits)s") % names


def _paused(params: Params) -> str:
    names = {"task": task_name(params), "waits": _waits(params), "until": _clock(params, "until")}
    return _("%(task)s is paused until %(until)s, and %(waits)s") % names


def _oldest(params: Params) -> str:
    return _("The oldest row was staged %(at)s.") % {"at": _moment(params, "oldest")}


def _writing(params: Params) -> str:
    names = {"task": task_name(params), "at": _clock(params)}
    return _("%(task)s: a transaction has been writing rows since %(at)s") % names


def _left_behind(params: Params) -> str:
    left = _("%(server)s is left behind: purges do not wait for it") % params
    return f"{left}; {rows_missing(params['n'])}" if params["n"] else left


def rows_missing(rows: int) -> str:
    """What purges have removed that a server has not received, without a full stop."""
    words = ngettext(
        "up to %(n)s row that it has not received is purged",
        "up to %(n)s rows that it has not received are purged",
        rows,
    )
    return words % {"n": formats.number(rows)}


def _rejects(params: Params) -> str:
    text = ngettext(
        "%(rows)s rejected row waits for a decision",
        "%(rows)s rejected rows wait for a decision",
        params["n"],
    )
    return text % {"rows": formats.number(params["n"])}


def _registers(params: Params) -> str:
    text = ngettext(
        "%(shop)s: %(n)d register has not been seen for a day",
        "%(shop)s: %(n)d registers have not been seen for a day",
        params["n"],
    )
    return text % params


def _backup(params: Params) -> str:
    if params["at"] is None:
        return _("Our own database has no backup yet")
    return _("The last backup of our own database was made %(at)s") % {"at": _moment(params, "at")}


def _guards(params: Params) -> Explanation:
    """Without the SQL for another role, which `Problem.sql` has."""
    return explain(TransferError.saved(params["code"], {**params["error"], "script": ""}))


SENTENCES: dict[Code, Callable[[Params], str]] = {
    Code.GUARDS: lambda p: _guards(p).sentence,
    Code.SCHEDULER_NEVER: lambda p: _("The scheduler has never run"),
    Code.SCHEDULER: lambda p: _("The scheduler has been silent since %(at)s") % {"at": _clock(p)},
    Code.CLOCK: lambda p: (
        _("The scheduler is silent, and the clock was set back: it last ran %(at)s")
        % {"at": _moment(p)}
    ),
    Code.QUEUE: lambda p: _stuck(p).sentence,
    Code.STEP: _step,
    Code.REFUSAL: lambda p: f"{task_name(p)}: {_cause(p).sentence}",
    Code.DIFFERENCE: lambda p: _cause(p).sentence,
    Code.OUTAGE: _outage,
    Code.FAILURES: _failures,
    Code.DATABASE: lambda p: _cause(p).sentence,
    Code.SERVER: lambda p: _cause(p).sentence,
    Code.SERVICE_PORT: lambda p: (
        _("No register can work with %(server)s: the service port does not answer") % p
    ),
    Code.MESSAGES: lambda p: (
        _("Messages to %(name)s have not arrived since %(since)s")
        % {"name": p["name"], "since": _clock(p)}
    ),
    Code.PAGES: lambda p: _cause(p).sentence,
    Code.MAIL: lambda p: _cause(p).sentence,
    Code.CERTIFICATE: lambda p: _cause(p).sentence,
    Code.TWO_SCHEDULERS: lambda p: (
        _("On %(host)s both cron and a service look at the schedule") % p
    ),
    Code.BACKUP: _backup,
    Code.LATE: _late,
    Code.SLOW: _slow,
    Code.OFF: _off,
    Code.PAUSED: _paused,
    Code.LEFT_BEHIND: _left_behind,
    Code.WRITING: _writing,
    Code.CHANGED: lambda p: _cause(p).sentence,
    Code.TABLES: lambda p: _cause(p).sentence,
    Code.SECTIONS: lambda p: (
        _("The file of DTADMIN_TABLES has sections for servers that are not docked: %(names)s") % p
    ),
    Code.REJECTS: _rejects,
    Code.REGISTERS: _registers,
    Code.LOCKED: lambda p: _("Too many wrong passwords for %(who)s: the log-in is locked") % p,
}


def _silent(params: Params) -> str:
    if params.get("by") == "service":
        hint = _("Nothing runs by schedule until it runs again. Start it: manage.py run_scheduler")
        return as_typed_here(hint)
    return _("Nothing runs by schedule until it runs again. See whether cron is up.")


HINTS: dict[Code, Callable[[Params], str]] = {
    Code.GUARDS: lambda p: _guards(p).hint.rstrip(),
    Code.SCHEDULER_NEVER: lambda p: as_typed_here(
        _(
            "Nothing runs by schedule. Run: manage.py crontab add, or without cron: manage.py "
            "run_scheduler"
        )
    ),
    Code.SCHEDULER: _silent,
    Code.CLOCK: _silent,
    Code.QUEUE: lambda p: _stuck(p).hint,
    Code.STEP: lambda p: _(
        "All other steps go on. The server’s log says where it fails; pass that on."
    ),
    Code.REFUSAL: lambda p: _cause(p).hint,
    Code.DIFFERENCE: lambda p: _cause(p).hint,
    Code.OUTAGE: _outage_hint,
    Code.FAILURES: _why_it_failed,
    Code.DATABASE: lambda p: f"{_cause(p).hint} {_('How many rows wait is not known.')}".strip(),
    Code.SERVER: lambda p: _cause(p).hint,
    Code.SERVICE_PORT: lambda p: str(_cause(p)),
    Code.MESSAGES: lambda p: str(_cause(p)),
    Code.PAGES: lambda p: _cause(p).hint,
    Code.MAIL: lambda p: _cause(p).hint,
    Code.CERTIFICATE: lambda p: _cause(p).hint,
    Code.TWO_SCHEDULERS: lambda p: _("No row is moved twice. One is enough: stop the other."),
    Code.BACKUP: lambda p: _(
        "The nightly backup does not run, or fails. Make one now to see why: manage.py backup"
    ),
    Code.LATE: lambda p: _("They are not lost. See why the task does not move them."),
    Code.SLOW: lambda p: _(
        "They have arrived. The settings allow that for 5 of 100 rows. See whether runs failed, "
        "or the task runs too seldom."
    ),
    Code.OFF: _oldest,
    Code.PAUSED: lambda p: str(p["reason"]),
    Code.LEFT_BEHIND: lambda p: _(
        "When its database answers again, its next run says exactly how many rows it lacks."
    ),
    Code.WRITING: lambda p: _("They can’t be read or moved until the transaction ends."),
    Code.CHANGED: lambda p: _cause(p).hint,
    Code.TABLES: lambda p: _cause(p).hint,
    Code.SECTIONS: lambda p: _(
        "A section of a server that is docked later may stay. If a name is mistyped, its server "
        "has the common part of the file: correct the name, or remove the section, and restart "
        "the services."
    ),
    Code.REJECTS: lambda p: _(
        "Each row says why it was rejected. Correct it and send it again, or discard it."
    ),
    Code.REGISTERS: lambda p: str(p["names"]),
    Code.LOCKED: lambda p: (
        _(
            "The last try came from %(address)s. If it was none of your people, somebody is "
            "guessing passwords: see the audit. An administrator lifts the lock on the page "
            "“Users”."
        )
        % p
    ),
}
