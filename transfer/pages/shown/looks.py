"""How each state looks: the one table of tones, icons and words. Colour never says it alone.

Badges, strips, charts, counts and templates read it: `{% state_badge "run" run.state %}`,
`{% with look=one.state|look:"check" %}`. Exports write the same words, since a state that a model
has brings its own.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy, pgettext_lazy

from transfer.models import Approval, BonusServer, RejectedRow, Upload
from transfer.models.accounts import AccountState
from transfer.models.alerts import Severity
from transfer.models.run_base import State

TONES = ("bad", "warn", "info", "idle", "ok")  # the worst first


class Look(NamedTuple):
    """How a state looks."""

    tone: str
    icon: str
    word: str | Promise


def _labelled(looks: Mapping[Any, tuple[str, str]]) -> dict[str, Look]:
    """Looks of a model's states, which have words of their own."""
    return {state.value: Look(tone, name, state.label) for state, (tone, name) in looks.items()}


# By what is in the state, and the state.
LOOKS: dict[str, dict[str, Look]] = {
    "run": _labelled({
        State.QUEUED: ("idle", "clock"),
        State.RUNNING: ("info", "play"),
        State.SUCCEEDED: ("ok", "check"),
        State.REJECTS: ("warn", "warning"),
        State.FAILED: ("bad", "cross"),
        State.SKIPPED: ("idle", "skip"),
        State.CANCELLED: ("idle", "ban"),
        State.INTERRUPTED: ("bad", "broken"),
    }),
    # What a task does now, or what keeps it from running.
    "task": {
        "running": Look("info", "play", gettext_lazy("is being moved")),
        "queued": Look("idle", "clock", gettext_lazy("in the queue")),
        "failed": Look("bad", "cross", gettext_lazy("has failed")),
        "silent": Look("bad", "offline", gettext_lazy("no answer")),
        "off": Look("idle", "ban", gettext_lazy("switched off")),
        "paused": Look("warn", "pause", gettext_lazy("paused until %(until)s")),
        "overdue": Look("warn", "warning", gettext_lazy("overdue")),
        "unplanned": Look("idle", "clock", gettext_lazy("not planned yet")),
        "planned": Look("ok", "check", gettext_lazy("next %(at)s")),
        "arrivals": Look("ok", "check", gettext_lazy("at once")),
    },
    "switch": {
        "on": Look("info", "check", gettext_lazy("Enabled")),
        "off": Look("idle", "circle", gettext_lazy("Disabled")),
    },
    "server": _labelled({
        BonusServer.State.UNCHECKED: ("idle", "clock"),
        BonusServer.State.AVAILABLE: ("ok", "check"),
        BonusServer.State.UNMANAGED: ("ok", "check"),
        BonusServer.State.FAILING: ("bad", "cross"),
    }) | {"left_behind": Look("warn", "skip", gettext_lazy("left behind"))},
    # One of a server's three doors.
    "door": {
        "ok": Look("ok", "check", gettext_lazy("Answers")),
        "failing": Look("bad", "cross", gettext_lazy("Fails")),
        "unknown": Look("idle", "clock", gettext_lazy("Not checked in the last minutes")),
        "unasked": Look("idle", "ban", gettext_lazy("Not asked")),
    },
    "account": _labelled({
        AccountState.ERROR: ("bad", "cross"),
        AccountState.BLOCKED: ("warn", "lock"),
        AccountState.OFFLINE: ("bad", "offline"),
        AccountState.NEVER_SEEN: ("warn", "clock"),
        AccountState.NOT_CREATED: ("idle", "circle"),
        AccountState.WAITING: ("info", "clock"),
        AccountState.ONLINE: ("ok", "check"),
    }),
    "register": {"mothballed": Look("idle", "pause", gettext_lazy("Out of service"))},
    "upload": _labelled({
        Upload.State.RECEIVED: ("info", "play"),
        Upload.State.COLUMNS: ("warn", "warning"),
        Upload.State.READY: ("warn", "clock"),
        Upload.State.CONFIRMED: ("info", "play"),
        Upload.State.LOADED: ("ok", "check"),
        Upload.State.REFUSED: ("bad", "cross"),
        Upload.State.FAILED: ("bad", "cross"),
        Upload.State.DISCARDED: ("idle", "ban"),
        Upload.State.EXPIRED: ("idle", "clock"),
        Upload.State.LOST: ("bad", "warning"),
        Upload.State.WAITING: ("warn", "users"),
        Upload.State.DECLINED: ("bad", "ban"),
    }),
    "approval": _labelled({
        Approval.State.WAITING: ("warn", "users"),
        Approval.State.APPROVED: ("ok", "check"),
        Approval.State.REFUSED: ("bad", "ban"),
        Approval.State.EXPIRED: ("idle", "clock"),
        Approval.State.VOID: ("bad", "cross"),
        Approval.State.WITHDRAWN: ("idle", "undo"),
    }),
    # What a line of a file of registers does.
    "line": {
        "bad": Look("bad", "cross", pgettext_lazy("a line of a file", "bad")),
        "new": Look("info", "plus", gettext_lazy("new")),
        "changes": Look("idle", "edit", pgettext_lazy("a line of a file", "changes")),
    },
    "arrival": {
        "unknown": Look("idle", "offline", gettext_lazy("Not known")),
        "rejects": Look("warn", "warning", gettext_lazy("Arrived, with rejects")),
        "arrived": Look("ok", "check", gettext_lazy("Arrived")),
        "coming": Look("warn", "clock", gettext_lazy("On its way")),
        "counted": Look("ok", "circle", gettext_lazy("Counted as received")),
        "skipped": Look("idle", "skip", gettext_lazy("Not sent")),
        "withdrawn": Look("idle", "undo", gettext_lazy("Taken back before")),
    },
    "delivery": {
        "moved": Look("ok", "check", gettext_lazy("Moved")),
        "counted": Look("ok", "circle", gettext_lazy("Counted as received")),
        "rejected": Look("bad", "cross", gettext_lazy("Rejected")),
        "without_effect": Look("idle", "ban", gettext_lazy("Without effect here")),
        "skipped": Look("idle", "skip", gettext_lazy("Not sent")),
        "waiting": Look("warn", "clock", pgettext_lazy("one row", "Waiting")),
        "unknown": Look("idle", "offline", gettext_lazy("Not known")),
    },
    "reject": _labelled({
        RejectedRow.State.OPEN: ("warn", "warning"),
        RejectedRow.State.RESENT: ("ok", "check"),
        RejectedRow.State.DISCARDED: ("idle", "ban"),
        RejectedRow.State.SETTLED: ("idle", "ban"),
    }),
    # A stage of a connection test.
    "check": {
        "passed": Look("ok", "check", gettext_lazy("passed")),
        "warned": Look("warn", "warning", gettext_lazy("passed")),
        "failed": Look("bad", "cross", gettext_lazy("failed")),
        "untried": Look("coming", "skip", gettext_lazy("not tried")),
    },
    "problem": _labelled({Severity.BAD: ("bad", "cross"), Severity.WARN: ("warn", "warning")}),
    "scheduler": {
        "alive": Look("ok", "check", gettext_lazy("Alive")),
        "silent": Look("bad", "cross", gettext_lazy("Silent")),
        "never": Look("bad", "offline", gettext_lazy("Never seen")),
    },
    "recipient": {
        "off": Look("idle", "circle", gettext_lazy("Switched off")),
        "failing": Look("bad", "cross", gettext_lazy("Does not arrive")),
        "ok": Look("ok", "check", gettext_lazy("In order")),
    },
    "key": {
        "active": Look("ok", "check", pgettext_lazy("key", "Active")),
        "expired": Look("warn", "clock", pgettext_lazy("key", "Expired")),
        "revoked": Look("idle", "ban", pgettext_lazy("key", "Revoked")),
    },
    "user": {
        "active": Look("ok", "check", gettext_lazy("Active")),
        "closed": Look("idle", "lock", gettext_lazy("Closed")),
        "locked": Look("warn", "lock", gettext_lazy("Log-in locked")),
        "no role": Look("warn", "warning", gettext_lazy("No role")),
        "imitates": Look("warn", "warning", gettext_lazy("Name may imitate another")),
    },
    "factor": {
        "on": Look("ok", "check", pgettext_lazy("second factor", "Set up")),
        "off": Look("idle", "circle", pgettext_lazy("second factor", "Not set up")),
    },
}  # fmt: skip


def look(state: str, of: str) -> Look:
    """`{{ one.state|look:"check" }}`: how a state looks. Raises KeyError if unknown."""
    return LOOKS[of][state]


def tone(state: str, of: str) -> str:
    """`{{ state|tone:"account" }}`: its tone alone, for a number beside the word."""
    return look(state, of).tone
