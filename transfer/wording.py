"""Codes and their parameters as sentences of the user's language."""

from typing import NamedTuple

from django.utils.translation import gettext

from transfer.errors import TransferError
from transfer.kinds import KINDS, Check

CHECKS: dict[str, Check] = {
    check.code: check for kind in KINDS.values() for check in kind.all_checks
}


class Explanation(NamedTuple):
    sentence: str
    hint: str


def explain_error(code: str, params: dict[str, str]) -> Explanation:
    """What went wrong, and what to do. An unknown code is explained as unexpected."""
    kind = TransferError.kinds.get(code, TransferError)
    return Explanation(gettext(kind.sentence) % params, gettext(kind.hint) % params)


def explain_reject(code: str) -> Explanation:
    """Why a row was rejected, and what to do. Raises KeyError for a code that no check has."""
    check = CHECKS[code]
    return Explanation(gettext(check.sentence), gettext(check.hint))
