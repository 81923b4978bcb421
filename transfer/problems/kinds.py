"""What is known of each kind of problem: one record each, the worst first.

A record says to which topic of messages the problem belongs, how bad it is, how it ends, and makes
its sentence and its hint from its parameters, in the reader's language. Who finds the problem, such
as `of_tasks`, gives these parameters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from django.utils.translation import gettext as _, gettext_noop, ngettext

from transfer.causes.ledger import ROWS_DIFFER, SHOP_ALL_WENT_BACK
from transfer.models.alerts import Severity, Topic
from transfer.problems import outage_words
from transfer.problems.phrases import (
    Params,
    cause,
    clock,
    guards,
    moment,
    stuck,
    task_name,
    together,
    waits,
)
from transfer.text import formats
from transfer.text.commands import as_typed_here


class Code(StrEnum):
    """The kinds of problems. The worst first."""

    GUARDS = "guards"
    SCHEDULER_NEVER = "scheduler_never"
    SCHEDULER = "scheduler"
    CLOCK = "clock"
    QUEUE = "queue_stuck"
    SLOW_SERVER = "slow_server"
    STEP = "step"
    REFUSAL = "refusal"
    DIFFERENCE = "difference"
    OUTAGE = "outage"
    FAILURES = "failures"
    DATABASE = "database"
    SERVER = "server"
    SERVICE_PORT = "service_port"
    MESSAGES = "messages"
    PAGES = "pages"
    MAIL = "mail"
    CERTIFICATE = "certificate"
    TWO_SCHEDULERS = "two_schedulers"
    BACKUP = "backup"
    LATE = "late"
    SLOW = "slow"
    LEFT_BEHIND = "left_behind"
    WRITING = "writing"
    CHANGED = "changed"
    TABLES = "tables"
    SECTIONS = "sections"
    REJECTS = "rejects"
    NO_APPROVER = "no_approver"
    APPROVALS = "approvals"
    REGISTERS = "registers"
    LOCKED = "locked"


def always(params: Params) -> bool:
    return True


def never(params: Params) -> bool:
    return False


@dataclass(frozen=True)
class ProblemKind:
    """What is known of a kind of problem. `means` and `ends_when` are for docs/WATCHING.md.

    Parts of an outage have no `means`: the overview and the metrics show the outage in their place.
    """

    topic: Topic
    means: str
    sentence: Callable[[Params], str]  # what is wrong
    hint: Callable[[Params], str]  # what it means for the rows, and what to do
    severity: Severity = Severity.BAD  # unless who finds it says otherwise
    ends_when: str = ""  # unless `means` says it: when that is no longer true
    says_when: Callable[[Params], bool] = never  # whether the sentence says since when
    # Its page is for administrators, and it names users or addresses of people.
    is_for_administrators: bool = False


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
OF_SHOP_ALL = {SHOP_ALL_WENT_BACK.code, ROWS_DIFFER.code}


def sentence(code: str, params: Params) -> str:
    """Return what is wrong, without a full stop."""
    return KINDS[Code(code)].sentence(params).rstrip(".")


def hint(code: str, params: Params) -> str:
    """Return what it means for the rows, and what to do."""
    return KINDS[Code(code)].hint(params)


def past(code: str, params: Params) -> str:
    """Return what was wrong, of a problem that is over."""
    if code == Code.OUTAGE:
        return outage_words.past(params) or _first_cause(params)
    return sentence(code, params)


def sentence_of_cause(params: Params) -> str:
    """Return the sentence of the error that the problem is about."""
    return cause(params).sentence


def hint_of_cause(params: Params) -> str:
    return cause(params).hint


def _approvals(params: Params) -> str:
    text = ngettext(
        "%(n)s load needs a second person",
        "%(n)s loads need a second person",
        params["n"],
    )
    return text % {"n": formats.number(params["n"])}


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
    """Return what purges have removed that a server has not received, without a full stop."""
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


def _outage_hint(params: Params) -> str:
    common = outage_words.hint(params)
    if common or params["answered"]:
        return common
    code, of_cause = params["causes"][0]
    calm = _("Transfers are not affected.") if outage_words.leaves_transfers_alone(params) else ""
    return f"{calm} {hint(code, of_cause)}".strip()


def _how_many_wait(params: Params) -> str:
    """Of a database that does not answer."""
    if not params["at_least"]:
        return _("How many rows wait is not known.")
    text = ngettext(
        "At least %(n)s row waits, by what the history knows.",
        "At least %(n)s rows wait, by what the history knows.",
        params["at_least"],
    )
    return text % {"n": formats.number(params["at_least"])}


def _why_it_failed(params: Params) -> str:
    why = str(cause(params)).strip()
    if not params.get("next"):
        return why
    return together(why, _("Next attempt: %(at)s.") % {"at": moment(params, "next")})


def _silent(params: Params) -> str:
    if params.get("by") == "service":
        text = _("Nothing runs by schedule until it runs again. Start it: manage.py run_scheduler")
        return as_typed_here(text)
    return _("Nothing runs by schedule until it runs again. See whether cron is up.")


KINDS: dict[Code, ProblemKind] = {
    Code.GUARDS: ProblemKind(
        Topic.SCHEDULER,
        "Triggers or functions in shop All are not those of this version.",
        lambda p: guards(p).sentence,
        lambda p: guards(p).hint.rstrip(),
        ends_when="`init_shop_all` has run",
    ),
    Code.SCHEDULER_NEVER: ProblemKind(
        Topic.SCHEDULER,
        "The scheduler has never run.",
        lambda p: _("The scheduler has never run"),
        lambda p: as_typed_here(
            _(
                "Nothing runs by schedule. Run: manage.py crontab add, or without cron: manage.py "
                "run_scheduler"
            )
        ),
    ),
    Code.SCHEDULER: ProblemKind(
        Topic.SCHEDULER,
        "The scheduler is silent.",
        lambda p: _("The scheduler has been silent since %(at)s") % {"at": clock(p)},
        _silent,
        says_when=always,
    ),
    Code.CLOCK: ProblemKind(
        Topic.SCHEDULER,
        "The scheduler is silent, and the clock was set back.",
        lambda p: (
            _("The scheduler is silent, and the clock was set back: it last ran %(at)s")
            % {"at": moment(p)}
        ),
        _silent,
        says_when=always,
    ),
    Code.QUEUE: ProblemKind(
        Topic.SCHEDULER,
        "Jobs wait, and no worker takes them.",
        lambda p: stuck(p).sentence,
        lambda p: stuck(p).hint,
        says_when=always,
    ),
    Code.SLOW_SERVER: ProblemKind(
        Topic.LATE,
        "A bonus server's jobs take up the workers, and others wait.",
        lambda p: _("%(server)s takes up the workers, and jobs of other servers wait") % p,
        lambda p: _(
            "Each of its steps takes long, and others go on only between them. See what slows its "
            "database down, such as a trigger or a lock. More workers help meanwhile."
        ),
        severity=Severity.WARN,
    ),
    Code.STEP: ProblemKind(
        Topic.SCHEDULER,
        "A step of a loop in the background fails.",
        _step,
        lambda p: _("All other steps go on. The server’s log says where it fails; pass that on."),
    ),
    Code.REFUSAL: ProblemKind(
        Topic.REFUSAL,
        "A transfer waits for a decision.",
        _refusal,
        hint_of_cause,
        ends_when="the next run does not refuse",
    ),
    Code.DIFFERENCE: ProblemKind(
        Topic.DIFFERENCE,
        "The last reconciliation found other rows or sums than were staged.",
        sentence_of_cause,
        hint_of_cause,
    ),
    Code.OUTAGE: ProblemKind(
        Topic.FAILURES,
        "A bonus server or shop All does not answer.",
        _outage,
        _outage_hint,
        says_when=lambda p: bool(p["silent"] or p["answered"]),
        ends_when="all of it answers, and the failed runs have succeeded",
    ),
    Code.FAILURES: ProblemKind(
        Topic.FAILURES,
        "The last runs of a task that is switched on failed.",
        _failures,
        _why_it_failed,
    ),
    Code.DATABASE: ProblemKind(
        Topic.FAILURES,
        "",
        sentence_of_cause,
        lambda p: together(cause(p).hint, _how_many_wait(p)),
    ),
    Code.SERVER: ProblemKind(
        Topic.FAILURES,
        "",
        sentence_of_cause,
        hint_of_cause,
    ),
    Code.SERVICE_PORT: ProblemKind(
        Topic.FAILURES,
        "",
        lambda p: _("No register can work with %(server)s: the service port does not answer") % p,
        lambda p: str(cause(p)),
    ),
    Code.MESSAGES: ProblemKind(
        Topic.SCHEDULER,
        "Messages to a recipient do not arrive.",
        lambda p: (
            _("Messages to %(name)s have not arrived since %(since)s")
            % {"name": p["name"], "since": clock(p)}
        ),
        lambda p: str(cause(p)),
        severity=Severity.WARN,
        says_when=always,
        is_for_administrators=True,
    ),
    Code.PAGES: ProblemKind(
        Topic.SCHEDULER,
        "The pages do not answer at SITE_URL.",
        sentence_of_cause,
        hint_of_cause,
        severity=Severity.WARN,
    ),
    Code.MAIL: ProblemKind(
        Topic.SCHEDULER,
        "The mail server does not answer.",
        sentence_of_cause,
        hint_of_cause,
        severity=Severity.WARN,
    ),
    Code.CERTIFICATE: ProblemKind(
        Topic.FAILURES,
        "A bonus server's certificate ends soon.",
        sentence_of_cause,
        hint_of_cause,
        severity=Severity.WARN,
    ),
    Code.TWO_SCHEDULERS: ProblemKind(
        Topic.SCHEDULER,
        "Cron and a service look at the schedule on one machine.",
        lambda p: _("On %(host)s both cron and a service look at the schedule") % p,
        lambda p: _("No row is moved twice. One is enough: stop the other."),
        severity=Severity.WARN,
    ),
    Code.BACKUP: ProblemKind(
        Topic.SCHEDULER,
        "Our own database was not backed up for two days.",
        _backup,
        lambda p: _(
            "The nightly backup does not run, or fails. Make one now to see why: manage.py backup"
        ),
        severity=Severity.WARN,
    ),
    Code.LATE: ProblemKind(
        Topic.LATE,
        "Rows wait longer than the settings allow.",
        _late,
        lambda p: _("They are not lost. See why the task does not move them."),
        severity=Severity.WARN,
        says_when=always,
    ),
    Code.SLOW: ProblemKind(
        Topic.LATE,
        "More than 5 % of the rows of 24 hours arrived later than the settings allow.",
        _slow,
        lambda p: _(
            "They have arrived. The settings allow that for 5 of 100 rows. Check whether runs "
            "failed, or whether the task runs too rarely."
        ),
        severity=Severity.WARN,
    ),
    Code.LEFT_BEHIND: ProblemKind(
        Topic.LATE,
        "Purges do not wait for a bonus server.",
        _left_behind,
        lambda p: _(
            "When its database answers again, its next run says exactly how many rows it lacks."
        ),
        severity=Severity.WARN,
        ends_when="it has what it needs, or purges wait for it again",
    ),
    Code.WRITING: ProblemKind(
        Topic.LATE,
        "A transaction has been writing staged rows for ten minutes.",
        _writing,
        lambda p: _("They can’t be read or moved until the transaction ends."),
        severity=Severity.WARN,
        says_when=always,
    ),
    Code.CHANGED: ProblemKind(
        Topic.REJECTS,
        "Rows were changed in shop All after their transfer, and wait for a decision.",
        sentence_of_cause,
        hint_of_cause,
        severity=Severity.WARN,
    ),
    Code.TABLES: ProblemKind(
        Topic.FAILURES,
        "Tables are foreign, or views: a later version will refuse them.",
        sentence_of_cause,
        hint_of_cause,
        severity=Severity.WARN,
    ),
    Code.SECTIONS: ProblemKind(
        Topic.FAILURES,
        "The file of DTADMIN_TABLES has sections for servers that are not docked.",
        lambda p: (
            _("The file of DTADMIN_TABLES has sections for servers that are not docked: %(names)s")
            % p
        ),
        lambda p: _(
            "A section of a server that is docked later may stay. If a name is mistyped, its "
            "server has the common part of the file: correct the name, or remove the section, and "
            "restart the services."
        ),
        severity=Severity.WARN,
    ),
    Code.REJECTS: ProblemKind(
        Topic.REJECTS,
        "Rejected rows wait for a decision.",
        _rejects,
        lambda p: _(
            "Each row says why it was rejected. Correct it and send it again, or discard it."
        ),
        severity=Severity.WARN,
    ),
    Code.NO_APPROVER: ProblemKind(
        Topic.APPROVALS,
        "Limits of amounts are set, and no user may approve what is above them.",
        lambda p: _("Nobody may approve what is above the limits of amounts"),
        lambda p: _(
            "Such loads wait for seven days, and then expire. Give at least two users the right: "
            "page “Users”. Nobody approves what he has entered himself."
        ),
        severity=Severity.WARN,
    ),
    Code.APPROVALS: ProblemKind(
        Topic.APPROVALS,
        "Loads above a limit wait for a second person.",
        _approvals,
        lambda p: _(
            "Nothing of them is staged. Who may approve, and has not entered them, says yes or no. "
            "After seven days they expire."
        ),
        severity=Severity.WARN,
    ),
    Code.REGISTERS: ProblemKind(
        Topic.REGISTERS,
        "Registers of a shop, neither blocked nor mothballed, have not been seen for a day.",
        _registers,
        lambda p: str(p["names"]),
        severity=Severity.WARN,
    ),
    Code.LOCKED: ProblemKind(
        Topic.LOCKED,
        "A log-in is locked after wrong passwords.",
        lambda p: _("Too many wrong passwords for %(who)s: the log-in is locked") % p,
        lambda p: (
            _(
                "The last try came from %(address)s. If it was not one of your people, somebody "
                "is guessing passwords: see the audit. An administrator lifts the lock on the "
                "page “Users”."
            )
            % p
        ),
        severity=Severity.WARN,
        is_for_administrators=True,
    ),
}
# What users and keys without the role of an administrator do not see.
FOR_ADMINISTRATORS = [code for code, kind in KINDS.items() if kind.is_for_administrators]
