"""The base of all errors: a stable code, one sentence, one hint."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from transfer.errors.printable import printable
from transfer.parties import Kind, Party, as_subject, gettext_noop

LONGEST = 10_000  # characters of a text that a database or a server has written


class Params(dict[str, str]):
    """Parameters of a sentence; one that was not saved is a dash."""

    def __missing__(self, name: str) -> str:
        return "—"


class TransferError(Exception):
    """A transfer, or a command beside it, can't go on.

    `party` is the program or database that failed: `%(party)s` in the sentence. What to do may
    depend on its kind (`hints`).
    """

    code: ClassVar[str] = "unexpected"
    sentence: ClassVar[str] = gettext_noop("An unexpected error stopped the transfer.")
    hint: str = gettext_noop(
        "Nothing was half done: the step was rolled back. Run it again. If it fails again, send "
        "the technical text to your support."
    )
    hints: ClassVar[dict[Kind, str]] = {}
    # The request may have been carried out, though no good answer came.
    maybe_done: ClassVar[bool] = False
    # The next request to the same party would fail, too.
    concerns_all: ClassVar[bool] = True
    by_code: ClassVar[dict[str, type["TransferError"]]] = {}

    def __init_subclass__(cls) -> None:
        TransferError.by_code[cls.code] = cls

    def __init__(self, technical: str = "", *, party: Party | None = None, **params: object):
        """`params` fill the sentence and the hint; `technical` is for the folded text.

        Both are cut off at LONGEST and made printable: they quote what a database outside says.
        """
        self.technical = printable(technical[:LONGEST])
        self.party = party
        self.params = {name: printable(str(value)[:LONGEST]) for name, value in params.items()}
        named = Params(self.params)
        if party is not None:
            self.hint = self.hints.get(party.kind, self.hint)
            named["party"] = as_subject(party.phrase, printable(party.name), self.sentence)
            self.params["party"] = printable(party.saved)
        super().__init__(self.sentence % named)

    @classmethod
    def saved(cls, code: str, params: Mapping[str, str]) -> "TransferError":
        """An error that was saved. An unknown code, such as a newer version's, is unexpected."""
        error = TransferError.by_code.get(code, TransferError)
        others = {name: value for name, value in params.items() if name != "party"}
        return error(party=_party_saved(params), **others)

    def __reduce__(self) -> tuple[Any, ...]:
        """So that one process can pass it to another: BaseException knows the sentence alone."""
        others = {name: value for name, value in self.params.items() if name != "party"}
        return partial(type(self), self.technical, party=self.party, **others), ()


def _party_saved(params: Mapping[str, str]) -> Party | None:
    """The party of a saved error; None if it has none, or one that only a newer version knows."""
    try:
        return Party.read(params["party"])
    except (KeyError, ValueError):
        return None
