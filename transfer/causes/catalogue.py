"""The catalogue: each cause of every subject, by its code."""

import copyreg
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


def cause_of(code: str) -> Cause:
    """Return the cause of a code. Raises KeyError."""
    return CATALOGUE[code]


# pickle writes a cause as its code, since each process has one object of it: errors are compared by
# their causes.
copyreg.pickle(Cause, lambda cause: (cause_of, (cause.code,)))
