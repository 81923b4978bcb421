"""What is wrong, in a sentence of the reader's language: from code and parameters of a problem."""

from collections.abc import Callable

from django.utils.translation import gettext as _, gettext_noop, ngettext

from transfer.engine.errors.ledger import RowsDiffer, ShopAllWentBack
from transfer.problems import outage_words
from transfer.problems.codes import Code
from transfer.problems.phrases import Params, cause, clock, guards, moment, stuck, task_name, waits
from transfer.text import formats

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
    "worked_off": gettext_noop("remove old entries of the queue"),
    "recurring_jobs": gettext_noop("queue the jobs that come back every few minutes"),
    "problems": gettext_noop("look for problems"),
    "queue": gettext_noop("work off the queue"),
    "arrivals": gettext_noop("look for rows that arrive"),
    "recurring_job": gettext_noop("do a job that waits for other databases"),
    "watchdog": gettext_noop("look whether the scheduler is alive"),
}

# Refusals whose cause is shop All: they are one question, and not one for each task.
OF_SHOP_ALL = {ShopAllWentBack.code, RowsDiffer.code}
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
    waiting = outage_words.waits(params) if params["doors"] else ""
    return "; ".join(filter(None, [_first_cause(params), waiting]))


def _refusal(params: Params) -> str:
    """A refusal of all tasks, or of all of a kind, names none of them."""
    why = cause(params).sentence
    return why if params["code"] in OF_SHOP_ALL else f"{task_name(params)}: {why}"


def _failures(params: Params) -> str:
    text = ngettext(
        "%(task)s: the last run failed", "%(task)s: the last %(n)d runs failed", params["n"]
    )
    return text % {"task": task_name(params), "n": params["n"]}


def _late(params: Params) -> str:
    names = {"task": task_name(params), "waits": waits(params), "at": clock(params)}
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


def _writing(params: Params) -> str:
    names = {"task": task_name(params), "at": clock(params)}
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
    return _("The last backup of our own database was made %(at)s") % {"at": moment(params, "at")}


SENTENCES: dict[Code, Callable[[Params], str]] = {
    Code.GUARDS: lambda p: guards(p).sentence,
    Code.SCHEDULER_NEVER: lambda p: _("The scheduler has never run"),
    Code.SCHEDULER: lambda p: _("The scheduler has been silent since %(at)s") % {"at": clock(p)},
    Code.CLOCK: lambda p: (
        _("The scheduler is silent, and the clock was set back: it last ran %(at)s")
        % {"at": moment(p)}
    ),
    Code.QUEUE: lambda p: stuck(p).sentence,
    Code.SLOW_SERVER: lambda p: (
        _("%(server)s takes up the workers, and jobs of other servers wait") % p
    ),
    Code.STEP: _step,
    Code.REFUSAL: _refusal,
    Code.DIFFERENCE: lambda p: cause(p).sentence,
    Code.OUTAGE: _outage,
    Code.FAILURES: _failures,
    Code.DATABASE: lambda p: cause(p).sentence,
    Code.SERVER: lambda p: cause(p).sentence,
    Code.SERVICE_PORT: lambda p: (
        _("No register can work with %(server)s: the service port does not answer") % p
    ),
    Code.MESSAGES: lambda p: (
        _("Messages to %(name)s have not arrived since %(since)s")
        % {"name": p["name"], "since": clock(p)}
    ),
    Code.PAGES: lambda p: cause(p).sentence,
    Code.MAIL: lambda p: cause(p).sentence,
    Code.CERTIFICATE: lambda p: cause(p).sentence,
    Code.TWO_SCHEDULERS: lambda p: (
        _("On %(host)s both cron and a service look at the schedule") % p
    ),
    Code.BACKUP: _backup,
    Code.LATE: _late,
    Code.SLOW: _slow,
    Code.LEFT_BEHIND: _left_behind,
    Code.WRITING: _writing,
    Code.CHANGED: lambda p: cause(p).sentence,
    Code.TABLES: lambda p: cause(p).sentence,
    Code.SECTIONS: lambda p: (
        _("The file of DTADMIN_TABLES has sections for servers that are not docked: %(names)s") % p
    ),
    Code.REJECTS: _rejects,
    Code.REGISTERS: _registers,
    Code.LOCKED: lambda p: _("Too many wrong passwords for %(who)s: the log-in is locked") % p,
}
