"""The base of all errors: a stable code, one sentence, one hint."""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from transfer.errors.printable import printable
from transfer.parties import SHOP_ALL, Kind, Party, as_subject, gettext_noop

LONGEST = 10_000  # characters of a text that a database or a server has written


class Params(dict[str, str]):
    """Parameters of a sentence; one that an earlier version did not save is a dash."""

    def __missing__(self, name: str) -> str:
        return "—"


class TransferError(Exception):
    """A transfer, or a command beside it, can't go on.

    `party` is the program or database that failed: `%(party)s` in the sentence. What to do may
    depend on its kind (`hints`). `former` are the codes that earlier versions saved for the same
    cause, each with the kind of its party.
    """

    code: ClassVar[str] = "unexpected"
    sentence: ClassVar[str] = gettext_noop("An unexpected error stopped the transfer.")
    hint: str = gettext_noop(
        "Nothing was half done: the step was rolled back. Run it again. If it fails again, send "
        "the technical text to your support."
    )
    hints: ClassVar[dict[Kind, str]] = {}
    former: ClassVar[dict[str, Kind]] = {}
    # The request may have been carried out, though no good answer came.
    maybe_done: ClassVar[bool] = False
    # The next request to the same party would fail, too.
    concerns_all: ClassVar[bool] = True
    by_code: ClassVar[dict[str, type["TransferError"]]] = {}

    def __init_subclass__(cls) -> None:
        for code in (cls.code, *cls.__dict__.get("former", {})):
            TransferError.by_code[code] = cls

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
        """An error that was saved, also by an earlier version. An unknown code is unexpected."""
        error = TransferError.by_code.get(code, TransferError)
        others = {name: value for name, value in params.items() if name != "party"}
        return error(party=_party_saved(error, code, params), **others)

    def __reduce__(self) -> tuple[Any, ...]:
        """So that one process can pass it to another: BaseException knows the sentence alone."""
        others = {name: value for name, value in self.params.items() if name != "party"}
        return partial(type(self), self.technical, party=self.party, **others), ()


def _party_saved(error: type[TransferError], code: str, params: Mapping[str, str]) -> Party | None:
    """The party of a saved error. Earlier versions saved its name under other names."""
    if "party" in params:
        try:
            return Party.read(params["party"])
        except ValueError:  # a newer version saved it
            return None
    if "%(party)s" not in error.sentence:
        return None
    if params.get("database") == "shop All":
        return SHOP_ALL
    name = next((params[one] for one in ("database", "server", "host") if one in params), "")
    kind = error.former.get(code, Kind.SERVER if "server" in params else Kind.DATABASE)
    if kind == Kind.DATABASE and not name:
        kind = Kind.SOME_DATABASE
    return Party(kind, name)
