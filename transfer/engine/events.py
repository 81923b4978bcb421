"""The engine's lines in the log: what it begins and ends, so that a stuck transfer says where.

Each line is one event with its fields, which `LOG_FORMAT=json` writes as keys. Fields are names,
numbers and codes: never a value of a row, nor the text of a database's error, which quotes rows.
docs/WATCHING.md lists them.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from transfer.errors import TransferError
from transfer.parties import Party

logger = logging.getLogger(__name__)

APPEND_BEGINS = "append begins"
APPEND_ENDS = "append ends"
CHUNK_BEGINS = "chunk begins"
CHUNK_ENDS = "chunk ends"
FORK = "fork"
REFUSED = "refused"
PURGE_BEGINS = "purge begins"
PURGE_ENDS = "purge ends"
UNDO_BEGINS = "undo begins"
UNDO_ENDS = "undo ends"
CONNECTION_LOST = "connection lost"

# Event → the names of its fields.
EVENTS = {
    APPEND_BEGINS: ("kind",),
    APPEND_ENDS: ("kind", "lines", "seconds"),
    CHUNK_BEGINS: ("kind", "database", "after_line", "to_line"),
    CHUNK_ENDS: ("kind", "database", "to_line", "applied", "unchanged", "rejected", "seconds"),
    FORK: ("kind", "database", "from_line", "to_line"),
    REFUSED: ("kind", "database", "code"),
    PURGE_BEGINS: ("kind",),
    PURGE_ENDS: ("kind", "rows", "changesets", "seconds"),
    UNDO_BEGINS: ("kind", "load"),
    UNDO_ENDS: ("kind", "load", "rows", "seconds"),
    CONNECTION_LOST: ("database", "purpose", "code"),
}
# What an engineer looks at first.
UNUSUAL = frozenset({FORK, REFUSED, CONNECTION_LOST})


def tell(event: str, **fields: Any) -> None:
    """Write one event of EVENTS as a line; `fields` are all of its fields."""
    level = logging.WARNING if event in UNUSUAL else logging.INFO
    if logger.isEnabledFor(level):
        shown = " ".join(f"{name}={fields[name]}" for name in EVENTS[event])
        logger.log(level, "%s: %s", event, shown, extra={"event": event, **fields})


@contextmanager
def refusals_told(kind: str, party: Party) -> Iterator[None]:
    """Write the cause if a TransferError ends the block; it goes on."""
    try:
        yield
    except TransferError as error:
        tell(REFUSED, kind=kind, database=party.saved, code=error.code)
        raise


class Stopwatch:
    """How long something has taken since this was made."""

    def __init__(self) -> None:
        self._began = monotonic()

    @property
    def seconds(self) -> float:
        return round(monotonic() - self._began, 3)
