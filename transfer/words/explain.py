"""Codes and their parameters as sentences of the user's language."""

from typing import Any, NamedTuple

from django.utils.translation import gettext

from transfer.engine.kinds import KINDS, Check
from transfer.errors import TransferError
from transfer.words import formats

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
