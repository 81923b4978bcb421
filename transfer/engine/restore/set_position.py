"""Puts a position where an administrator knows the data of a bonus server to be. No Django."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import (
    BatchForgotten,
    BatchUnknown,
    HistoryChanged,
    LaterBatchKnown,
    PositionMissing,
    ReaderUnknown,
    RestoredFromDump,
    RowsPurged,
)
from transfer.engine.kinds import Kind
from transfer.engine.position import NOTHING_READ, Position, Totals
from transfer.engine.shop_all.batch_log import Batch, KnownBatch, Readers
from transfer.engine.shop_all.reader import ShopAll

SHOWN = 20  # batches or readers that an error lists


@dataclass(frozen=True)
class Place:
    """Where a position shall be: at the end of a batch, at the start, or, without both, as it is.

    `reader` says whose batch it is, where the position is lost and the log knows several.
    """

    batch: int | None = None
    start: bool = False
    reader: str | None = None
    accept_purged: bool = False
    shop_all_is_whole: bool = False  # it was not restored: said where its log can't say it
    data_went_back: bool = False  # the server's data, too, were put back to before shop All was


@dataclass(frozen=True)
class Placed:
    """Where the position is now, and what the next run will send."""

    position: Position
    sent: int
    lost: int  # rows at most that a purge has removed, and the server can't get any more
    doubt: HistoryChanged | None = None  # what the next run refuses for all that


@dataclass(frozen=True)
class Wanted:
    """The position that was asked for, still under the reader of its batch."""

    position: Position
    anew: bool = False  # the log needs its batch once more
    at: datetime | None = None  # when it was reached, where our own history alone knows the batch


def place(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    where: Place,
    readers: Readers,
    *,
    dry_run: bool = False,
) -> Placed:
    """Writes the position, and returns what that means; a dry run writes nothing on any side.

    Raises BatchUnknown, LaterBatchKnown, ReaderUnknown, PositionMissing, AlreadyRunning,
    StagingTableChanged; RowsPurged when rows are gone that it would need, and nobody has accepted
    that.
    """
    target.ensure_schema()
    with source.purge_held_off():
        with source.snapshot():
            source.require_log()
            source.check_columns(kind)
            source.check_table(kind)
            origin = source.origin()
            held = target.position(origin, kind)
            if held is not None:
                held = target.lock_position(origin, kind)
            wanted = _wanted(kind, source, target, where, readers, held, origin)
            if not source.is_origin_original():
                # A rebase has to come, and writes a batch. One of the dump's numbers can't be of
                # a cluster that has yet to reach them.
                wanted = replace(wanted, anew=False)
            _check_later(source, target, where, readers.batches, wanted.position)
            position = wanted.position
            # A server that has received nothing lacks whatever was ever removed.
            lost = source.purged(kind)[0] if where.start else source.purged_after(position)
            if lost and not where.accept_purged:
                raise RowsPurged(
                    rows=lost, number=position.number, server=target.name, kind=kind.name
                )
            after = _counted(kind, source, position)
            sent = source.count_waiting(kind, after)
            doubt = _doubt(source, target, wanted)
        if not dry_run:
            after = _written(source, target, replace(wanted, position=after), held)
        else:
            target.roll_back()
    return Placed(after, sent, lost, doubt)


def _wanted(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    where: Place,
    readers: Readers,
    held: Position | None,
    origin: str,
) -> Wanted:
    if where.start:
        return Wanted(Position(origin, kind.name, reader=str(uuid4())))
    if where.batch is None:
        if held is None or held.reader is None:
            raise PositionMissing(database=target.name)
        return Wanted(held, anew=where.shop_all_is_whole and source.has_forgotten(held))
    reader = _reader(kind, source, target, where, readers, held)
    position = Position(
        origin,
        kind.name,
        totals=held.totals if held else Totals(),
        reader=reader,
        number=where.batch,
    )
    if batch := source.batch(reader, where.batch):
        return Wanted(_at_end(position, batch), anew=held is None)
    ours = {one.batch.token: one for one in readers.batches if _is(one, position, held)}
    if len(ours) != 1 or source.has_forgotten(position):
        logged = [str(one.number) for one in source.logged([reader], SHOWN) if one.is_valid]
        raise BatchUnknown(database=target.name, number=where.batch, known=", ".join(logged) or "–")
    (one,) = ours.values()
    return Wanted(_at_end(position, one.batch), at=one.at)


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
    where: Place,
    known: tuple[KnownBatch, ...],
    position: Position,
) -> None:
    """Raises LaterBatchKnown where rows that were moved would be sent again, unless the server's
    data were put back as well: the log lacks a batch that the server has received.
    """
    stays = where.batch is None and not where.start
    if stays or where.data_went_back or not known or known[0].batch.token == position.token:
        return
    reader, batch = known[0].reader, known[0].batch
    if source.batch(reader, batch.number) == batch:
        return
    if not source.has_forgotten(replace(position, reader=reader, number=batch.number)):
        raise LaterBatchKnown(database=target.name, number=batch.number, reader=reader)


def _reader(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    where: Place,
    readers: Readers,
    held: Position | None,
) -> str:
    if where.reader is not None:
        return where.reader
    if held is not None and held.reader is not None:
        return held.reader
    logged = source.readers(kind)
    ours = {one.reader for one in readers.batches}
    mine = logged & readers.mine or ours or logged - readers.others
    if len(mine) != 1:
        names = dict.fromkeys(ours, target.name)
        names |= {one.reader: one.server for one in source.logged([*mine], SHOWN)}
        raise ReaderUnknown(
            database=target.name,
            known="; ".join(f"{reader} ({name})" for reader, name in names.items()) or "–",
        )
    return mine.pop()


def _doubt(source: ShopAll, target: BonusDatabase, wanted: Wanted) -> HistoryChanged | None:
    position = wanted.position
    if not source.is_origin_original():
        return RestoredFromDump()
    if wanted.at is not None:
        return HistoryChanged(number=position.number)
    if wanted.anew or not source.has_forgotten(position):
        return None
    return BatchForgotten(number=position.number, server=target.name, kind=position.kind)


def _counted(kind: Kind, source: ShopAll, position: Position) -> Position:
    """The position from which the reconciliation counts anew: what is missing so far is settled."""
    position = replace(position, purge_accepted=source.last_purge(position.origin, kind))
    if position.snapshot == NOTHING_READ:
        rows, amount = source.purged(kind)
        return replace(position, purged_rows=rows, purged_amount=amount)
    staged, totals = source.staged(kind, position), position.totals
    counted = totals.amount_applied + totals.amount_rejected
    return replace(
        position,
        purged_rows=position.purged_rows + staged.rows + staged.purged_rows - totals.read,
        purged_amount=position.purged_amount + staged.amount + staged.purged_amount - counted,
    )


def _written(
    source: ShopAll, target: BonusDatabase, wanted: Wanted, held: Position | None
) -> Position:
    """A lost position comes back under a reader of its own: the old one's rejects are not its.

    A batch that the log lacks is not written there again, so that the next run refuses: what shop
    All has is of another history.
    """
    position = wanted.position
    if held is None and position.number:
        number = 0 if wanted.anew else position.number
        position = replace(position, reader=str(uuid4()), number=number)
    if wanted.anew:
        position = source.put_into_log(position, target.name)
    write = target.begin_position if held is None else target.replace_position
    write(position, wanted.at)
    target.commit()
    return position
