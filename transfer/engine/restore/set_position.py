"""Puts a position where an administrator knows the data of a bonus server to be. No Django."""

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
from transfer.engine.kinds import Kind
from transfer.engine.position import Position, Totals
from transfer.engine.shop_all.batch_log import Batch, KnownBatch, Readers
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError

SHOWN = 20  # batches or readers that an error lists


@dataclass(frozen=True)
class Request:
    """Where a position shall be: at the end of a batch, at the start, at the end of everything that
    is staged now, or as it is.

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
    shop_all_is_whole: bool = False  # it was not restored: said where its log can't say it
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
    doubt: TransferError | None = None  # what the next run refuses for all that


@dataclass(frozen=True)
class Plan:
    """The position that was asked for, still under the reader of its batch."""

    position: Position
    anew: bool = False  # the log needs its batch once more
    at: datetime | None = None  # when it was reached, where our own history alone knows the batch


def set_position(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    request: Request,
    readers: Readers,
    *,
    dry_run: bool = False,
) -> Outcome:
    """Writes the position, and returns what that means; a dry run writes nothing on any side.

    Raises BatchUnknown, PositionBeforeRebase, LaterBatchKnown, ReaderUnknown, ReaderShared,
    PositionMissing, AlreadyRunning, StagingTableChanged; HistoryChanged when shop All has gone back
    in time, which has to be settled first; RowsPurged when rows are gone that it would need, and
    nobody has accepted that.
    """
    target.ensure_schema()
    with source.purge_lock.held_off():
        with source.snapshot(kind):
            source.log.require()
            source.identity.check_columns(kind)
            source.identity.check_table(kind)
            origin = source.identity.origin()
            held = target.positions.get(origin, kind)
            if held is not None:
                held = target.positions.lock(origin, kind)
                if request.keeps_reader:
                    readers.check_shared(held, target.name)
            plan = _plan(kind, source, target, request, readers, held, origin)
            if not source.identity.is_origin_original():
                # A rebase has to come, and writes a batch. One of the dump's numbers can't be of
                # a cluster that has yet to reach them.
                plan = replace(plan, anew=False)
            _check_later(source, target, request, readers.batches, plan.position)
            position = plan.position
            # A server that has received nothing lacks whatever was ever removed.
            lost = (
                source.reader.purged(kind)[0]
                if request.start
                else source.purge_notes.count_lost(position)
            )
            if lost and not request.accept_purged:
                raise RowsPurged(
                    rows=lost, number=position.number, server=target.name, kind=kind.name
                )
            after = source.count_anew(kind, position)
            sent = source.reader.count_waiting(kind, after)
            doubt = _doubt(source, target, request, plan)
        if not dry_run:
            if request.shop_all_is_whole:
                source.restore_notes.remove(origin)
            after = _written(kind, source, target, replace(plan, position=after), readers, held)
        else:
            target.database.roll_back()
    return Outcome(after, sent, lost, doubt)


def _plan(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    request: Request,
    readers: Readers,
    held: Position | None,
    origin: str,
) -> Plan:
    if request.start:
        return Plan(Position(origin, kind.name, reader=str(uuid4())))
    if request.now:
        return _at_now(kind, source, origin)
    if request.as_of_clone:
        return _as_of_clone(kind, source, target, held)
    if request.batch is None:
        if held is None or held.reader is None:
            raise PositionMissing(database=target.name)
        return Plan(held, anew=request.shop_all_is_whole and source.log.has_forgotten(held))
    reader = _reader(kind, source, target, request, readers, held)
    if held is None and target.positions.are_of_another_origin(kind, reader, origin):
        # A rebase leaves the position that it replaces. Where that one alone is there, the data
        # came from before the rebase, and may lack rows that any batch since then counts as moved.
        raise PositionBeforeRebase(database=target.name, kind=kind.name)
    position = Position(
        origin,
        kind.name,
        totals=held.totals if held else Totals(),
        reader=reader,
        number=request.batch,
    )
    if batch := source.log.find(reader, request.batch):
        return Plan(_at_end(position, batch), anew=held is None or reader in readers.in_use)
    ours = {one.batch.token: one for one in readers.batches if _is(one, position, held)}
    if len(ours) != 1 or source.log.has_forgotten(position):
        logged = [str(one.number) for one in source.log.logged([reader], SHOWN) if one.is_valid]
        raise BatchUnknown(
            database=target.name, number=request.batch, known=", ".join(logged) or "–"
        )
    (one,) = ours.values()
    return Plan(_at_end(position, one.batch), at=one.at)


def _at_now(kind: Kind, source: ShopAll, origin: str) -> Plan:
    if not source.identity.is_origin_original():
        raise RestoredFromDump
    now = source.reader.current_snapshot()
    return Plan(Position(origin, kind.name, read_through=now, reader=str(uuid4())), anew=True)


def _as_of_clone(kind: Kind, source: ShopAll, target: BonusDatabase, held: Position | None) -> Plan:
    """The position of the copy, under a reader of its own. Raises what `check_past` raises."""
    if held is None or held.reader is None:
        raise PositionMissing(database=target.name)
    source.identity.check_past(kind, held, target.name)
    return Plan(replace(held, reader=str(uuid4()), number=0), anew=True)


def _at_end(position: Position, batch: Batch) -> Position:
    return replace(position, read_through=batch.snapshot, token=batch.token)


def _is(known: KnownBatch, position: Position, held: Position | None) -> bool:
    """Whether the position asks for this batch, if only to stay there."""
    is_held = held is not None and held.token == known.batch.token
    named = (known.origin, known.batch.number) == (position.origin, position.number)
    return named and (known.reader == position.reader or is_held)


def _check_later(
    source: ShopAll,
    target: BonusDatabase,
    request: Request,
    known: tuple[KnownBatch, ...],
    position: Position,
) -> None:
    """Raises LaterBatchKnown where rows that were moved would be sent again, unless the server's
    data were put back as well: the log lacks a batch that the server has received.
    """
    if (
        request.stays
        or request.data_went_back
        or not known
        or known[0].batch.token == position.token
    ):
        return
    reader, batch = known[0].reader, known[0].batch
    if source.log.find(reader, batch.number) == batch:
        return
    if not source.log.has_forgotten(replace(position, reader=reader, number=batch.number)):
        raise LaterBatchKnown(database=target.name, number=batch.number, reader=reader)


def _reader(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    request: Request,
    readers: Readers,
    held: Position | None,
) -> str:
    if request.reader is not None:
        return request.reader
    if held is not None and held.reader is not None:
        return held.reader
    logged = source.log.readers(kind)
    ours = {one.reader for one in readers.batches}
    mine = logged & readers.mine or ours or logged - readers.others
    if len(mine) != 1:
        names = dict.fromkeys(ours, target.name)
        possible = [*(mine or logged)]
        names |= {one.reader: one.server for one in source.log.logged(possible, SHOWN)}
        raise ReaderUnknown(
            database=target.name,
            known="; ".join(f"{reader} ({name})" for reader, name in names.items()) or "–",
        )
    return mine.pop()


def _doubt(
    source: ShopAll, target: BonusDatabase, request: Request, plan: Plan
) -> TransferError | None:
    position = plan.position
    if not source.identity.is_origin_original():
        return RestoredFromDump()
    if plan.at is not None:
        return HistoryChanged(number=position.number)
    try:
        if not plan.anew:
            source.log.check(position, target.name)
        if not request.shop_all_is_whole:
            source.restore_notes.check(position.origin)
    except (HistoryChanged, ShopAllRestored) as doubt:
        return doubt
    return None


def _written(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    plan: Plan,
    readers: Readers,
    held: Position | None,
) -> Position:
    """A lost position comes back under a reader of its own: the old one's rejects are not its.
    So does one at the batch of another server that still reads.

    A batch that the log lacks is not written there again, so that the next run refuses: what shop
    All has is of another history.
    """
    position = plan.position
    if position.number and (held is None or position.reader in readers.in_use):
        number = 0 if plan.anew else position.number
        position = replace(position, reader=str(uuid4()), number=number)
    if plan.anew:
        position = source.log.add_position(kind, position, target.name)
    write = target.positions.begin if held is None else target.positions.replace
    write(position, plan.at)
    target.database.commit()
    return position
