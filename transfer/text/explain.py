"""Errors, checks and warnings as sentences in the user's language."""

import re
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from transfer.causes.cause import Cause
from transfer.errors import Params, TransferError
from transfer.parties import Party, as_subject
from transfer.text import formats
from transfer.text.commands import as_typed_here

# The tick saves a time with its zone as the system names it: "14:05 MSK", "№ 12, 14:05 MSK".
TIMES = ("since", "holder")
# Numbers of rows.
COUNTS = ("rows",)
SAVED_ZONE = re.compile(r"(?<=\d\d:\d\d )[A-Z]+$")


class Explanation(NamedTuple):
    sentence: str
    hint: str

    def __str__(self) -> str:
        return f"{self.sentence} {self.hint}"


def explain(error: TransferError | Cause) -> Explanation:
    """Return what went wrong, and what to do, in the user's language. An error has parameters."""
    if isinstance(error, Cause):
        return Explanation(_filled(error.sentence, Params()), _filled(error.hint, Params()))
    known = Params(_as_read(error.params))
    hint = error.cause.hint
    if error.party is not None:
        known["party"] = subject(error.party, _(error.cause.sentence))
        hint = error.cause.hints.get(error.party.kind, hint)
    return Explanation(_filled(error.cause.sentence, known), _filled(hint, known))


def subject(party: Party, sentence: str) -> str:
    """The party in the user's language, as `sentence` begins with it or names it."""
    return as_subject(_(party.phrase), party.name, sentence)


def name_of(party: Party) -> str:
    """The party as a heading."""
    return subject(party, "%(party)s")


def _filled(text: str, known: Params) -> str:
    return as_typed_here(_(text)) % known if text else ""


def _as_read(params: dict[str, str]) -> dict[str, str]:
    """The parameters in the user's language.

    For a command that is to be pasted each has a twin: `quoted_server` is the name as it was saved,
    quoted for a shell.
    """
    known = dict(params)
    for name in TIMES:
        if name in known:
            known[name] = SAVED_ZONE.sub(_zone, known[name])
    for name in COUNTS:
        if known.get(name, "").isdecimal():
            known[name] = formats.number(int(known[name]))
    if known.get("held", "").isdecimal():
        known["held"] = formats.about_rows(int(known["held"]))
    if "what" in known:  # a part of the sentence, which is a message id, too
        known["what"] = _(known["what"])
    for name, text in params.items():
        # One word of a shell. `shlex.quote` leaves some names bare, and where such a name ends a
        # page could not tell.
        escaped = text.replace("'", "'\"'\"'")
        known[f"quoted_{name}"] = f"'{escaped}'"
    return known


def _zone(match: re.Match[str]) -> str:
    return str(formats.ZONES.get(match[0], match[0]))


def started_by(run: Any) -> str:
    """ "By schedule", or who did: "By hand, olga"."""
    how = str(run.get_trigger_display())
    return f"{how}, {run.actor.get_username()}" if run.actor_id and run.actor else how
