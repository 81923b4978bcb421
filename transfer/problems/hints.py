"""What a problem means for the rows, and what to do: from its code and parameters."""

from collections.abc import Callable

from django.utils.translation import gettext as _

from transfer.problems import outage_words
from transfer.problems.codes import Code
from transfer.problems.phrases import Params, cause, guards, moment, stuck
from transfer.text.commands import as_typed_here


def hint(code: str, params: Params) -> str:
    """What it means for the rows, and what to do."""
    return HINTS[Code(code)](params)


def _outage_hint(params: Params) -> str:
    if common := outage_words.hint(params):
        return common
    code, of_cause = params["causes"][0]
    calm = _("Transfers are not affected.") if outage_words.leaves_transfers_alone(params) else ""
    return f"{calm} {hint(code, of_cause)}".strip()


def _together(first: str, second: str) -> str:
    """Two texts as one. The first may end with a command, which has no full stop of its own."""
    first = first.strip()
    if first and not first.endswith((".", "!", "?")):
        first += "."
    return f"{first} {second}".strip()


def _why_it_failed(params: Params) -> str:
    why = str(cause(params)).strip()
    if not params.get("next"):
        return why
    return _together(why, _("Next attempt: %(at)s.") % {"at": moment(params, "next")})


def _silent(params: Params) -> str:
    if params.get("by") == "service":
        text = _("Nothing runs by schedule until it runs again. Start it: manage.py run_scheduler")
        return as_typed_here(text)
    return _("Nothing runs by schedule until it runs again. See whether cron is up.")


HINTS: dict[Code, Callable[[Params], str]] = {
    Code.GUARDS: lambda p: guards(p).hint.rstrip(),
    Code.SCHEDULER_NEVER: lambda p: as_typed_here(
        _(
            "Nothing runs by schedule. Run: manage.py crontab add, or without cron: manage.py "
            "run_scheduler"
        )
    ),
    Code.SCHEDULER: _silent,
    Code.CLOCK: _silent,
    Code.QUEUE: lambda p: stuck(p).hint,
    Code.SLOW_SERVER: lambda p: _(
        "Each of its steps takes long, and others go on only between them. See what slows its "
        "database down, such as a trigger or a lock. More workers help meanwhile."
    ),
    Code.STEP: lambda p: _(
        "All other steps go on. The server’s log says where it fails; pass that on."
    ),
    Code.REFUSAL: lambda p: cause(p).hint,
    Code.DIFFERENCE: lambda p: cause(p).hint,
    Code.OUTAGE: _outage_hint,
    Code.FAILURES: _why_it_failed,
    Code.DATABASE: lambda p: _together(cause(p).hint, _("How many rows wait is not known.")),
    Code.SERVER: lambda p: cause(p).hint,
    Code.SERVICE_PORT: lambda p: str(cause(p)),
    Code.MESSAGES: lambda p: str(cause(p)),
    Code.PAGES: lambda p: cause(p).hint,
    Code.MAIL: lambda p: cause(p).hint,
    Code.CERTIFICATE: lambda p: cause(p).hint,
    Code.TWO_SCHEDULERS: lambda p: _("No row is moved twice. One is enough: stop the other."),
    Code.BACKUP: lambda p: _(
        "The nightly backup does not run, or fails. Make one now to see why: manage.py backup"
    ),
    Code.LATE: lambda p: _("They are not lost. See why the task does not move them."),
    Code.SLOW: lambda p: _(
        "They have arrived. The settings allow that for 5 of 100 rows. Check whether runs "
        "failed, or whether the task runs too rarely."
    ),
    Code.LEFT_BEHIND: lambda p: _(
        "When its database answers again, its next run says exactly how many rows it lacks."
    ),
    Code.WRITING: lambda p: _("They can’t be read or moved until the transaction ends."),
    Code.CHANGED: lambda p: cause(p).hint,
    Code.TABLES: lambda p: cause(p).hint,
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
            "The last try came from %(address)s. If it was not one of your people, somebody "
            "is guessing passwords: see the audit. An administrator lifts the lock on the "
            "page “Users”."
        )
        % p
    ),
}
