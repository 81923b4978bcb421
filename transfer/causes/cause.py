"""One record of the catalogue of causes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from transfer.parties import PartyKind


@dataclass(frozen=True, eq=False)
class Cause:
    """What can go wrong, as data: a stable code, one sentence, and what to do about it.

    Sentences and hints are message ids of the translation catalogue. Their parameters, such as
    `%(table)s`, come with the error; `%(party)s` is the program or database that failed.
    """

    code: str
    sentence: str
    hint: str = ""
    # What to do if it is another kind of party that failed.
    hints: Mapping[PartyKind, str] = field(default_factory=lambda: MappingProxyType({}))
    # Of a refusal, by which a transfer stops until somebody does this: for docs/EXACTLY-ONCE.md.
    remedy: str = ""
    # The request may have been carried out, though no good answer came.
    maybe_done: bool = False
    # The next request to the same party would fail, too.
    concerns_all: bool = True
    # Of the API's answer to a call that ends with it.
    status: int = 503

    @property
    def is_refusal(self) -> bool:
        """Whether a transfer stops at once, and somebody has to do something."""
        return bool(self.remedy)
