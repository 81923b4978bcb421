"""Batches, as the log of shop All and our own history have them, and who has begun them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from transfer.engine.errors import ReaderShared
from transfer.engine.position import Position


@dataclass(frozen=True)
class Batch:
    number: int
    token: str
    snapshot: str

    @property
    def named(self) -> dict[str, Any]:
        """The fields of a position that is in this batch."""
        return {"number": self.number, "token": self.token, "reading": self.snapshot}


@dataclass(frozen=True)
class KnownBatch:
    """A batch as our own history has it: what the log says of it, and when its run ended."""

    origin: str
    reader: str
    batch: Batch
    at: datetime


@dataclass(frozen=True)
class Readers:
    """Who reads, as our own database remembers it: this task's readers, and those of others.

    `batches` are this task's, where it knows shop All: the latest that has arrived first, if under
    numbers of another history, and those that were asked for. `in_use` names the servers of the
    other tasks, by the readers with which they read now.
    """

    mine: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    batches: tuple[KnownBatch, ...] = ()
    in_use: Mapping[str, str] = field(default_factory=dict)

    def check_shared(self, position: Position, database: str) -> None:
        """Raises ReaderShared where another server reads with the position's reader."""
        if position.reader is not None and (other := self.in_use.get(position.reader)):
            raise ReaderShared(database=database, kind=position.kind, other=other)


@dataclass(frozen=True)
class LoggedBatch:
    """A batch as a person reads of it."""

    reader: str
    number: int
    server: str
    at: datetime
    is_valid: bool
