"""Codes and their parameters as sentences of the user's language."""

import re
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from transfer.engine.checks import UNKNOWN
from transfer.engine.kinds import CHECKS
from transfer.errors import TransferError
from transfer.text import formats
from transfer.text.commands import as_typed_here

# The tick saves a time with its zone as the system names it: "14:05 MSK", "№ 12, 14:05 MSK".
TIMES = ("since", "holder")
SAVED_ZONE = re.compile(r"(?<=\d\d:\d\d )[A-Z]+$")


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
    known = _as_read(params)
    return Explanation(
        as_typed_here(_(error.sentence)) % known, as_typed_here(_(error.hint)) % known
    )


def _as_read(params: dict[str, str]) -> Params:
    """The parameters in the user's language.

    For a command that is to be pasted each has a twin: `quoted_server` is the name as it was saved,
    quoted for a shell.
    """
    saved = {name: str(text) for name, text in params.items()}
    known = Params(saved)
    for name in TIMES:
        if name in known:
            known[name] = SAVED_ZONE.sub(_zone, known[name])
    if "what" in known:  # a part of the sentence, which is a message id, too
        known["what"] = _(known["what"])
    if known.get("database") == "shop All":
        known["database"] = _("shop All")
    known.update({f"quoted_{name}": _quoted(text) for name, text in saved.items()})
    return known


def _quoted(text: str) -> str:
    """One word of a shell. `shlex.quote` leaves some names bare, and where such a name ends a page
    could not tell.
    """
    return "'{}'".format(text.replace("'", "'\"'\"'"))


def _zone(match: re.Match[str]) -> str:
    return str(formats.ZONES.get(match[0], match[0]))


def explain_reject(code: str) -> Explanation:
    """Why a row was rejected, and what to do. A code that no check has is explained as unknown."""
    check = CHECKS.get(code, UNKNOWN)
    return Explanation(_(check.sentence), _(check.hint))


def started_by(run: Any) -> str:
    """ "By schedule", or who did: "By hand, olga"."""
    how = str(run.get_trigger_display())
    return f"{how}, {run.actor.get_username()}" if run.actor_id and run.actor else how
