"""Puts a position where an administrator knows the data of a bonus server to be."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import (
    BatchUnknown,
    HistoryChanged,
    LaterBatchKnown,
    PositionBeforeRebase,
    PositionMissing,
    ReaderUnknown,
    RestoredFromDump,
    RowsPurged,
    ShopAllRestored,
)
from transfer.engine.kind import Kind
from transfer.engine.position import Position, Totals
from transfer.engine.restore.carry_over import carry_over
from transfer.engine.shop_all.batches import Batch, KnownBatch, Readers
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError

SHOWN = 20  # batches or readers that an error lists

PutBack = Callable[[Position], int]


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

    @property
    def stays(self) -> bool:
        """Whether the position keeps what it has read."""
        return self.batch is None and not self.start and not self.now

    @property
    def keeps_reader(self) -> bool:
        """Whether the position goes on under the reader that it has."""
        return self.reader is None and not (self.start or self.now or self.as_of_clone)


@dataclass(frozen=True)
class Outcome:
    """Where the position is now, and what the next run will send."""

    position: Position
    sent: int
    lost: int  # rows at most that a purge has removed, and the server can't get any more
    doubt: TransferError | None = None  # what the next run refuses all the same


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
    needs_batch: bool = False  # the log needs its batch once more
    at: datetime | None = None  # when it was reached, where our own history alone knows the batch


def set_position(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    request: Request,
    readers: Readers,
    put_back: PutBack = lambda position: 0,
    *,
    dry_run: bool = False,
) -> Outcome:
    """Writes the position, and returns what that means; a dry run writes nothing on any side.

    1. Locks the position, if the server has one.
    2. Finds the position that is asked for.
    3. Checks that this sends no row twice, and which rows it can't send any more.
    4. Writes the position.

    `put_back` writes rejects that the bonus server has lost, in the same transaction, and returns
    the number of the reader's last one.

    Raises BatchUnknown, PositionBeforeRebase, LaterBatchKnown, ReaderUnknown, ReaderShared,
    PositionMissing, AlreadyRunning, StagingTableChanged; HistoryChanged when shop All has gone back
    in time, which has to be settled first; RowsPurged when rows are gone that it would need, and
    that was not accepted.
    """
    given_up = 0
    if request.stays:
        # A copy shares the reader of another server until it gets its own.
        shared = readers if request.keeps_reader else Readers()
        carried = carry_over(
            kind, source, target, shared, accept_purged=request.accept_purged, dry_run=dry_run
        )
        given_up = carried.given_up if carried else 0
    target.ensure_schema()
    with source.purge_lock.held_off():
        with source.snapshot(kind):
            now = _look(kind, source, target, request, readers)
            plan = _plan(now)
            if not source.identity.is_origin_original():
                # A rebase has to come, and writes a batch. One of the dump's numbers can't be of
                # a cluster that has yet to reach them.
                plan = replace(plan, needs_batch=False)
            _check_later(now, plan.position)
            lost = _check_lost(now, plan.position)
            after = source.count_anew(kind, plan.position)
            sent = source.reader.count_waiting(kind, after)
            doubt = _doubt(now, plan)
        if dry_run:
            target.database.roll_back()
        else:
            after = _write(now, replace(plan, position=after), put_back)
    return Outcome(after, sent, given_up + lost, doubt)


def _look(
    kind: Kind, source: ShopAll, target: BonusDatabase, request: Request, readers: Readers
) -> Situation:
    """Checks shop All, and locks the position. Raises ReaderShared, AlreadyRunning and others."""
    source.log.require()
    source.identity.check_columns(kind)
    source.identity.check_table(kind)
    origin = source.identity.origin()
    held = target.positions.get(origin, kind)
    if held is not None:
        held = target.positions.lock(origin, kind)
        if request.keeps_reader:
            readers.check_shared(held, target.name)
    return Situation(kind, source, target, request, readers, origin, held)


def _check_lost(now: Situation, position: Position) -> int:
    """How many rows at most the server needs that a purge has removed.

    Raises RowsPurged if that was not accepted. A server that has received nothing lacks every
    row that was ever removed.
    """
    if now.request.start:
        lost, _ = now.source.reader.purged(now.kind)
    else:
        lost = now.source.purge_notes.count_lost(position)
    if lost and not now.request.accept_purged:
        raise RowsPurged(
            rows=lost, number=position.number, server=now.target.name, kind=now.kind.name
        )
    return lost


def _plan(now: Situation) -> Plan:
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
    """The position of the copy, under a reader of its own. Raises what `check_past` raises."""
    if now.held is None or now.held.reader is None:
        raise PositionMissing(database=now.target.name)
    now.source.identity.check_past(now.kind, now.held, now.target.name)
    return Plan(replace(now.held, reader=str(uuid4()), number=0), needs_batch=True)


def _at_batch(now: Situation, number: int) -> Plan:
    """The end of a batch that the log has, or else our own history.

    Raises ReaderUnknown, PositionBeforeRebase, BatchUnknown.
    """
    held, log, reader = now.held, now.source.log, _reader(now)
    if held is None and now.target.positions.are_of_another_origin(now.kind, reader, now.origin):
        # A rebase leaves the position that it replaces. Where only that one exists, the data came
        # from before the rebase, and may lack rows that any batch since then counts as moved.
        raise PositionBeforeRebase(database=now.target.name, kind=now.kind.name)
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
    """Whose batch is meant. Raises ReaderUnknown."""
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


def _check_later(now: Situation, position: Position) -> None:
    """Raises LaterBatchKnown where rows that were moved would be sent again, unless the server's
    data were put back as well: the log lacks a batch that the server has received.
    """
    request, log, known = now.request, now.source.log, now.readers.batches
    if (
        request.stays
        or request.data_went_back
        or not known
        or known[0].batch.token == position.token
    ):
        return
    reader, batch = known[0].reader, known[0].batch
    if log.find(reader, batch.number) == batch:
        return
    if not log.has_forgotten(replace(position, reader=reader, number=batch.number)):
        raise LaterBatchKnown(database=now.target.name, number=batch.number, reader=reader)


def _doubt(now: Situation, plan: Plan) -> TransferError | None:
    """What the next run refuses all the same."""
    position = plan.position
    if not now.source.identity.is_origin_original():
        return RestoredFromDump()
    if plan.at is not None:
        return HistoryChanged(number=position.number)
    try:
        if not plan.needs_batch:
            now.source.log.check(position, now.target.name)
        if not now.request.shop_all_is_whole:
            now.source.restore_notes.check(position.origin)
    except (HistoryChanged, ShopAllRestored) as doubt:
        return doubt
    return None


def _write(now: Situation, plan: Plan, put_back: PutBack) -> Position:
    """Writes the position and commits; ends the stop of all transfers, if that is asked for.

    A lost position comes back under a reader of its own: the old one's rejects are not its. So
    does one at the batch of another server that still reads.

    A batch that the log lacks is not written there again, so that the next run refuses: what shop
    All has is of another history.
    """
    position = plan.position
    if now.request.shop_all_is_whole:
        now.source.restore_notes.remove(now.origin)
    if position.number and (now.held is None or position.reader in now.readers.in_use):
        number = 0 if plan.needs_batch else position.number
        position = replace(position, reader=str(uuid4()), number=number)
    if plan.needs_batch:
        before = {now.held.reader if now.held else None, plan.position.reader, now.request.reader}
        now.source.uncertain_changes.hand_on(
            now.kind, [one for one in before if one not in (None, position.reader)], position.reader
        )
        position = now.source.log.add_position(now.kind, position, now.target.name)
    positions = now.target.positions
    write = positions.begin if now.held is None else positions.replace
    write(position, plan.at)
    last = put_back(position)
    if last > position.totals.rejected:
        position = _counting(position, last)
        positions.replace(position, plan.at)
    now.target.database.commit()
    return position


def _counting(position: Position, rejected: int) -> Position:
    """The position after it has counted more rejects: the next one gets the next number.

    Its rows were moved before, so the reconciliation counts as many rows less as removed.
    """
    totals = replace(position.totals, rejected=rejected)
    purged = position.purged_rows - (rejected - position.totals.rejected)
    return replace(position, totals=totals, purged_rows=purged)
