"""Codes and their parameters as sentences of the user's language."""

from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from transfer.engine.checks import UNKNOWN
from transfer.engine.kinds import CHECKS
from transfer.errors import TransferError
from transfer.words import formats
from transfer.words.commands import as_typed_here


class Explanation(NamedTuple):
    sentence: str
    hint: str

    def __str__(self) -> str:
        return f"{self.sentence} {self.hint}"


class Params(dict[str, str]):
    """Parameters of a sentence; one that an earlier version did not save is a dash."""

    def __missing__(self, name: str) -> str:
        return formats.NOTHING


def explain(error: TransferError) -> Explanation:
    """What went wrong, and what to do."""
    return explain_code(error.code, error.params)


def explain_code(code: str, params: dict[str, str]) -> Explanation:
    """As `explain`, of an error that was saved. An unknown code is explained as unexpected."""
    error = TransferError.by_code.get(code, TransferError)
    # The tick names the zone of a moment as the system does.
    known = Params({name: str(text).replace("MSK", _("MSK")) for name, text in params.items()})
    if "what" in known:  # a part of the sentence, which is a message id, too
        known["what"] = _(known["what"])
    if known.get("database") == "shop All":
        known["database"] = _("shop All")
    return Explanation(
        as_typed_here(_(error.sentence) % known), as_typed_here(_(error.hint) % known)
    )


def explain_reject(code: str) -> Explanation:
    """Why a row was rejected, and what to do. A code that no check has is explained as unknown."""
    check = CHECKS.get(code, UNKNOWN)
    return Explanation(_(check.sentence), _(check.hint))


def started_by(run: Any) -> str:
    """ "By schedule", or who did: "By hand, olga"."""
    how = str(run.get_trigger_display())
    return f"{how}, {run.actor.get_username()}" if run.actor_id and run.actor else how
