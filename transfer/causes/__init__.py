"""The catalogue of causes: all that can go wrong, one file a subject.

Code raises `TransferError` with a cause and its parameters. A run, a job or a load saves the code
and the parameters, and `text.explain` makes the sentence from them in the reader's language.
"""

from collections.abc import Iterator
from types import MappingProxyType, ModuleType

from transfer.causes import (
    api_calls,
    approvals,
    bonus_servers,
    connections,
    file_lines,
    file_warnings,
    files,
    installation,
    ledger,
    loads,
    messages,
    problems,
    rows,
    runs,
    statements,
    tables,
)
from transfer.causes.cause import Cause

SUBJECTS = (
    ledger,
    tables,
    loads,
    approvals,
    rows,
    runs,
    connections,
    files,
    file_lines,
    file_warnings,
    api_calls,
    bonus_servers,
    messages,
    problems,
    installation,
    statements,
)


def causes_of(subject: ModuleType) -> Iterator[Cause]:
    """Yield the causes that a file of the catalogue has, in its order."""
    return (value for value in vars(subject).values() if isinstance(value, Cause))


CATALOGUE = MappingProxyType({one.code: one for file in SUBJECTS for one in causes_of(file)})
"""Code → cause."""

REFUSALS = frozenset(code for code, cause in CATALOGUE.items() if cause.is_refusal)
"""The codes of refusals: a transfer stops at once, and somebody has to do something."""
