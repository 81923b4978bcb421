"""Finds the position that an administrator asks for."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import (
    BatchUnknown,
    PositionBeforeRebase,
    PositionMissing,
    PositionStillKnown,
    ReaderUnknown,
    RestoredFromDump,
)
from transfer.engine.kind import Kind
from transfer.engine.position import Position, Totals
from transfer.engine.restore.answers import NO_ANSWERS, Answers
from transfer.engine.restore.carry_over import can_be_carried_over
from transfer.engine.shop_all.batches import Batch, KnownBatch, Readers
from transfer.engine.shop_all.source import ShopAll

SHOWN = 20  # batches or readers that an error lists


@dataclass(frozen=True)
class Request:
    """Where a position has to be: at the end of a batch, at the start, behind all rows that are
    staged now, or where it is.

    `as_of_clone`: the bonus server's database is a copy of another one. The position stays where
    the copy was made, and gets a reader of its own. `reader` says whose batch it is, where the
    position is lost and the log knows several, or the tables are a copy of another server's.
    """

    batch: int | None = None
    start: bool = False
    now: bool = False
    as_of_clone: bool = False
    reader: str | None = None
    accept_purged: bool = False
    shop_all_is_whole: bool = False  # the administrator knows that it was not restored
    data_went_back: bool = False  # the server's data, too, were put back to before shop All was
    # About rows in doubt, where a position of before a rebase is carried over first.
    answers: Answers = NO_ANSWERS

    @property
    def stays(self) -> bool:
        """Whether the position keeps what it has read."""
        return self.batch is None and not self.start and not self.now

    @property
    def keeps_reader(self) -> bool:
        """Whether the position goes on under the reader that it has."""
        return self.reader is None and not (self.start or self.now or self.as_of_clone)


@dataclass(frozen=True)
class Situation:
    """What was asked for, and what both sides and our own database say."""

    kind: Kind
    source: ShopAll
    target: BonusDatabase
    request: Request
    readers: Readers
    origin: str
    held: Position | None  # the position that the server has, locked


@dataclass(frozen=True)
class Plan:
    """The position that was asked for, still under the reader of its batch."""

    position: Position
    needs_batch: bool = False  # its batch has to be written to the log again
    at: datetime | None = None  # when it was reached, where our own history alone knows the batch


def requested_position(now: Situation) -> Plan:
    """The position that is asked for."""
    request, held = now.request, now.held
    if request.start:
        return Plan(Position(now.origin, now.kind.name, reader=str(uuid4())))
    if request.now:
        return _at_now(now)
    if request.as_of_clone:
        return _as_of_clone(now)
    if request.batch is not None:
        return _at_batch(now, request.batch)
    if held is None or held.reader is None:
        raise PositionMissing(database=now.target.name)
    is_forgotten = request.shop_all_is_whole and now.source.log.has_forgotten(held)
    return Plan(held, needs_batch=is_forgotten)


def _at_now(now: Situation) -> Plan:
    """Behind all rows that are staged. Raises RestoredFromDump."""
    if not now.source.identity.is_origin_original():
        raise RestoredFromDump
    snapshot = now.source.reader.current_snapshot()
    position = Position(now.origin, now.kind.name, read_through=snapshot, reader=str(uuid4()))
    return Plan(position, needs_batch=True)


def _as_of_clone(now: Situation) -> Plan:
    """The position of the copy, under a reader of its own.

    Raises what `check_past` raises; PositionOvertaken where the copy has read under a later
    identity of shop All, which its own reader would not show any more.
    """
    if now.held is None or now.held.reader is None:
        raise PositionMissing(database=now.target.name)
    now.target.positions.check_overtaken(now.held)
    now.source.identity.check_past(now.kind, now.held, now.target.name)
    return Plan(replace(now.held, reader=str(uuid4()), number=0), needs_batch=True)


def _at_batch(now: Situation, number: int) -> Plan:
    """The end of a batch that the log has, or else our own history.

    Raises ReaderUnknown, PositionStillKnown, PositionBeforeRebase, BatchUnknown.
    """
    held, log, reader = now.held, now.source.log, _reader(now)
    if held is None and now.target.positions.are_of_another_origin(now.kind, reader, now.origin):
        # A rebase leaves the position that it replaces. Where only that one exists, the data came
        # from before the rebase, and may lack rows that any batch since then counts as moved.
        is_known = can_be_carried_over(now.kind, now.source, now.target)
        error = PositionStillKnown if is_known else PositionBeforeRebase
        raise error(database=now.target.name, kind=now.kind.name)
    totals = held.totals if held else Totals()
    position = Position(now.origin, now.kind.name, totals=totals, reader=reader, number=number)
    if batch := log.find(reader, number):
        is_read_elsewhere = reader in now.readers.in_use
        return Plan(_at_end(position, batch), needs_batch=held is None or is_read_elsewhere)
    ours = {one.batch.token: one for one in now.readers.batches if _is(one, position, held)}
    if len(ours) != 1 or log.has_forgotten(position):
        known = ", ".join(str(one.number) for one in log.logged([reader], SHOWN) if one.is_valid)
        raise BatchUnknown(database=now.target.name, number=number, known=known or "–")
    (one,) = ours.values()
    return Plan(_at_end(position, one.batch), at=one.at)


def _at_end(position: Position, batch: Batch) -> Position:
    return replace(position, read_through=batch.snapshot, token=batch.token)


def _is(known: KnownBatch, position: Position, held: Position | None) -> bool:
    """Whether the position asks for this batch, if only to stay there."""
    is_held = held is not None and held.token == known.batch.token
    named = (known.origin, known.batch.number) == (position.origin, position.number)
    return named and (known.reader == position.reader or is_held)


def _reader(now: Situation) -> str:
    """The reader whose batch is meant. Raises ReaderUnknown."""
    if now.request.reader is not None:
        return now.request.reader
    if now.held is not None and now.held.reader is not None:
        return now.held.reader
    logged = now.source.log.readers(now.kind)
    ours = {one.reader for one in now.readers.batches}
    mine = logged & now.readers.mine or ours or logged - now.readers.others
    if len(mine) != 1:
        names = dict.fromkeys(ours, now.target.name)
        possible = [*(mine or logged)]
        names |= {one.reader: one.server for one in now.source.log.logged(possible, SHOWN)}
        raise ReaderUnknown(
            database=now.target.name,
            known="; ".join(f"{reader} ({name})" for reader, name in names.items()) or "–",
        )
    return mine.pop()
