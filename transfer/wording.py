"""Codes and their parameters as sentences of the user's language."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.utils.translation import gettext

from transfer import formats
from transfer.errors import TransferError, gettext_noop
from transfer.kinds import KINDS, Check

CHECKS: dict[str, Check] = {
    check.code: check for kind in KINDS.values() for check in kind.all_checks
}


class Explanation(NamedTuple):
    sentence: str
    hint: str


class Said(dict[str, str]):
    """Parameters; one that an earlier version did not keep is a dash."""

    def __missing__(self, name: str) -> str:
        return formats.NOTHING


def explain_error(code: str, params: dict[str, str]) -> Explanation:
    """What went wrong, and what to do. An unknown code is explained as unexpected."""
    kind, said = TransferError.kinds.get(code, TransferError), Said(params)
    return Explanation(gettext(kind.sentence) % said, gettext(kind.hint) % said)


def explain_reject(code: str) -> Explanation:
    """Why a row was rejected, and what to do. Raises KeyError for a code that no check has."""
    check = CHECKS[code]
    return Explanation(gettext(check.sentence), gettext(check.hint))


def started_by(run: Any) -> str:
    """ "By schedule", or who did: "By hand, olga"."""
    how = str(run.get_trigger_display())
    return f"{how}, {run.actor.get_username()}" if run.actor_id and run.actor else how


REPORT = {
    "runs": gettext_noop("Runs of transfers removed"),
    "maintenance": gettext_noop("Runs of maintenance removed"),
    "queue": gettext_noop("Entries of the queue removed"),
    "rejects": gettext_noop("Closed rejected rows removed"),
    "loads": gettext_noop("Entries of the list of loads removed"),
    "audit": gettext_noop("Entries of the audit removed"),
    "checks": gettext_noop("Checks of connections removed"),
    "seen_days": gettext_noop("Days in which registers were seen removed"),
    "servers": gettext_noop("Bonus servers asked"),
    "failing": gettext_noop("Of them not available"),
    "registers": gettext_noop("Accounts of registers read"),
}


def report_lines(report: dict[str, Any]) -> Iterator[str]:
    """What a maintenance run did: "Runs of transfers removed: 1 204"."""
    for name, value in report.items():
        if isinstance(value, dict) and "kept_back_by" in value:
            tasks = {"table": name, "n": formats.number(len(value["kept_back_by"]))}
            yield gettext("%(table)s: kept back by tasks that have not moved all: %(n)s") % tasks
        elif isinstance(value, dict) and "rows" in value:
            rows = {"table": name, "n": formats.number(value["rows"])}
            yield gettext("%(table)s: rows removed: %(n)s") % rows
        else:
            label = gettext(REPORT[name]) if name in REPORT else name
            yield f"{label}: {formats.number(value) if isinstance(value, int) else value}"
