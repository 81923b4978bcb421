"""Puts a position where an administrator knows the data of a bonus server to be. No Django."""

from dataclasses import dataclass, replace
from uuid import uuid4

from transfer.engine.batches import Readers
from transfer.engine.bonus_db import BonusDatabase
from transfer.engine.errors import (
    BatchForgotten,
    BatchUnknown,
    PositionMissing,
    ReaderUnknown,
    RowsPurged,
)
from transfer.engine.kinds import Kind
from transfer.engine.position import NOTHING_READ, Position, Totals
from transfer.engine.shop_all import ShopAll

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


@dataclass(frozen=True)
class Placed:
    """Where the position is now, and what the next run will send."""

    position: Position
    sent: int
    lost: int  # rows at most that a purge has removed, and the server can't get any more
    doubt: BatchForgotten | None = None  # what the next run refuses for all that


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

    Raises BatchUnknown, ReaderUnknown, PositionMissing, AlreadyRunning; RowsPurged when rows are
    gone that it would need, and nobody has accepted that.
    """
    target.ensure_schema()
    with source.purge_held_off():
        with source.snapshot():
            source.require_log()
            source.check_columns(kind)
            origin = source.origin()
            held = target.position(origin, kind)
            if held is not None:
                held = target.lock_position(origin, kind)
            wanted, anew = _wanted(kind, source, target, where, readers, held, origin)
            # A server that has received nothing lacks whatever was ever removed.
            lost = source.purged(kind)[0] if where.start else source.purged_after(wanted)
            if lost and not where.accept_purged:
                raise RowsPurged(
                    rows=lost, number=wanted.number, server=target.name, kind=kind.name
                )
            after = _counted(kind, source, wanted)
            sent = source.count_waiting(kind, after)
            doubt = None if anew else _doubt(source, target, after)
        if not dry_run:
            after = _written(source, target, after, held, anew=anew)
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
) -> tuple[Position, bool]:
    """The position, still under the reader of its batch; whether the log needs it anew."""
    if where.start:
        return Position(origin, kind.name, reader=str(uuid4())), False
    if where.batch is None:
        if held is None or held.reader is None:
            raise PositionMissing(database=target.name)
        return held, where.shop_all_is_whole and source.has_forgotten(held)
    reader = _reader(kind, source, target, where, readers, held)
    batch = source.batch(reader, where.batch)
    if batch is None:
        known = [str(one.number) for one in source.logged([reader], SHOWN) if one.is_valid]
        raise BatchUnknown(database=target.name, number=where.batch, known=", ".join(known) or "–")
    position = Position(
        origin,
        kind.name,
        read_through=batch.snapshot,
        totals=held.totals if held else Totals(),
        reader=reader,
        number=batch.number,
        token=batch.token,
    )
    return position, held is None


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
    known = source.readers(kind)
    mine = known & readers.mine or known - readers.others
    if len(mine) != 1:
        names = {one.reader: one.server for one in source.logged([*mine], SHOWN)}
        raise ReaderUnknown(
            database=target.name,
            known="; ".join(f"{reader} ({name})" for reader, name in names.items()) or "–",
        )
    return mine.pop()


def _doubt(source: ShopAll, target: BonusDatabase, position: Position) -> BatchForgotten | None:
    if not source.has_forgotten(position):
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
    source: ShopAll,
    target: BonusDatabase,
    position: Position,
    held: Position | None,
    *,
    anew: bool,
) -> Position:
    """A lost position comes back under a reader of its own: the old one's rejects are not its."""
    if anew and held is None:
        position = replace(position, reader=str(uuid4()), number=0)
    if anew:
        batch = source.add_batch(position, target.name, position.snapshot)
        position = replace(position, number=batch.number, token=batch.token)
    if held is None:
        target.begin_position(position)
    else:
        target.replace_position(position)
    target.commit()
    return position
