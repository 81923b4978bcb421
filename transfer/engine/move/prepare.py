"""Checks both sides before a transfer, and begins a position where there never was one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import (
    BeginningUndecided,
    HistoryChanged,
    PositionLost,
    PositionMoved,
    RecordsMissing,
    ShopAllRestored,
)
from transfer.engine.kind import Kind
from transfer.engine.position import Position
from transfer.engine.shop_all.batches import Readers
from transfer.engine.shop_all.records import NOTHING_RECORDED, Recorded, RecordedBatch
from transfer.engine.shop_all.source import ShopAll


def prepare(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    readers: Callable[[], Readers] = Readers,
    is_recorded: Callable[[Position], bool] = lambda position: False,
    recorded: Callable[[str], Recorded] = lambda origin: NOTHING_RECORDED,
    carry: Callable[[], bool] = lambda: False,
    *,
    dry_run: bool = False,
) -> Position:
    """Checks both sides, begins a position where there never was one, and returns it.

    `readers` asks our own database who reads, for this transfer and for others; `is_recorded`,
    whether our own history has the position's batch, too; `recorded`, what it knows of shop All
    under an identity, also by other transfers: see `records`. If shop All lacks a batch that our
    own history has, shop All was restored: that is noted there, and stops all its transfers.
    `carry` carries over a position of before a rebase, if that is all that the server has: whether
    it did.

    1. Checks the tables of both sides, and finds the position.
    2. If there is none: checks that shop All has what our own history knows of it, if the position
       is not lost; carries a position over, or begins one.
    3. Checks that the position is of shop All's past, and that it has what our history knows.
    4. Writes into the log what a position from before the log has moved.

    Raises PositionLost when there was one, as far as anybody knows; BeginningUndecided where the
    administrator has to say which staged rows the bonus server has received (`set_position`);
    ReaderShared when the position is another server's; HistoryChanged, RowsPurged,
    PositionOvertaken, ShopAllRestored, RecordsMissing; and what `carry` raises.
    """
    target.ensure_schema()
    target.tables.check_columns(kind)
    target.tables.check_rights(kind)
    origin, position = _find(kind, source, target)
    records = recorded(origin)  # before the snapshot, which then has all that they name
    if position is None:
        with (
            _position_first(kind, source, target, readers),
            _restore_noted(source, origin, records, dry_run),
            source.snapshot(),
        ):
            source.records.check(records)
        if not carry():
            return _begin(kind, source, target, origin, readers, dry_run)
        return prepare(kind, source, target, readers, is_recorded, recorded, dry_run=dry_run)
    readers().check_shared(position, target.name)
    target.positions.check_overtaken(position)
    try:
        with _restore_noted(source, origin, records, dry_run), source.snapshot(kind):
            source.identity.check_position(kind, position, target.name)
            source.records.check(records)
    except HistoryChanged as error:
        if not dry_run:
            _note(source, target, position, error, is_recorded)
        raise
    if position.reader is None:
        position = _give_reader(kind, target, position, readers)
    if not dry_run:
        target.database.commit()
        position = _into_log(kind, source, target, position)
    return position


def _find(kind: Kind, source: ShopAll, target: BonusDatabase) -> tuple[str, Position | None]:
    """Checks what shop All is, and returns its identity, and the server's position under it."""
    with source.snapshot():
        source.log.require()
        source.identity.check_columns(kind)
        origin = source.identity.origin()
        return origin, target.positions.get(origin, kind)


@contextmanager
def _position_first(
    kind: Kind, source: ShopAll, target: BonusDatabase, readers: Callable[[], Readers]
) -> Iterator[None]:
    """Raises PositionLost instead, if the check within finds that shop All was restored, and the
    position is lost, too: after a rebase no batch says any more what the server has.
    """
    try:
        yield
    except (ShopAllRestored, RecordsMissing):
        if not target.positions.exist(kind):
            with source.snapshot():
                _check_not_lost(kind, source, target, readers)
        raise


@contextmanager
def _restore_noted(
    source: ShopAll, origin: str, records: Recorded, dry_run: bool
) -> Iterator[None]:
    """Notes in shop All which recorded batches it lacks, if a check within finds that it does."""
    try:
        yield
    except ShopAllRestored:
        if not dry_run:
            with source.snapshot():
                missing = source.records.missing_batches(records)
            for batch in missing:
                _note_missing(source, origin, batch)
        raise


def _note_missing(source: ShopAll, origin: str, batch: RecordedBatch) -> None:
    source.restore_notes.add(origin, batch)
    source.log.note_missed(batch.token)


def _note(
    source: ShopAll,
    target: BonusDatabase,
    position: Position,
    refused: HistoryChanged,
    is_recorded: Callable[[Position], bool],
) -> None:
    """Notes in shop All that it is restored, if that is certain, and that the batch is missed.

    A subclass of HistoryChanged has another cause than a missing batch.
    """
    if position.reader is None or position.token is None:
        return
    place = position.origin, position.kind, target.name
    batch = RecordedBatch(*place, position.reader, position.number, position.token)
    if type(refused) is HistoryChanged and is_recorded(position):
        source.restore_notes.add(position.origin, batch)
    source.log.note_missed(batch.token)


def _begin(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    origin: str,
    readers: Callable[[], Readers],
    dry_run: bool,
) -> Position:
    # The snapshot is younger than the lock: a purge that has just ended is seen.
    with source.purge_lock.held_off():
        with source.snapshot(kind):
            source.identity.check_table(kind)
            _check_not_lost(kind, source, target, readers)
            position = Position(origin, kind.name, reader=str(uuid4()))
            _check_decided(kind, source, target, position)
            position = source.count_anew(kind, position)
        target.positions.begin(position)
        if not dry_run:
            target.database.commit()
    return position


def _check_not_lost(
    kind: Kind, source: ShopAll, target: BonusDatabase, readers: Callable[[], Readers]
) -> None:
    """Raises PositionLost when there was a position, as far as anybody knows."""
    # The log first: our own database knew each reader before it wrote a batch there.
    logged, known = source.log.readers(kind), readers()
    if known.mine or target.positions.exist(kind) or logged - known.others:
        raise PositionLost(database=target.name, kind=kind.name)


def _check_decided(kind: Kind, source: ShopAll, target: BonusDatabase, position: Position) -> None:
    """Raises BeginningUndecided where it matters what the bonus server has received so far.

    It does when rows are staged; and when rows were purged, which a copy of a server may lack.
    Otherwise every answer begins at the same place.
    """
    rows, held = source.reader.count_waiting(kind, position), target.tables.count_rows(kind)
    purged, _ = source.reader.purged(kind)
    if rows or (purged and held):
        raise BeginningUndecided(
            database=target.name, kind=kind.name, table=kind.quoted_target, rows=rows, held=held
        )


def _give_reader(
    kind: Kind, target: BonusDatabase, position: Position, readers: Callable[[], Readers]
) -> Position:
    """A position from before the log gets a reader; later copies of it are not trusted."""
    if readers().mine:
        raise PositionLost(database=target.name, kind=kind.name)
    target.positions.adopt(position.origin, kind.name, str(uuid4()))
    return target.positions.lock(position.origin, kind)


def _into_log(kind: Kind, source: ShopAll, target: BonusDatabase, position: Position) -> Position:
    """Writes the batch that a position from before the log has moved, so that it names one."""
    if not position.is_older_than_the_log:
        return position
    with target.database.transaction():
        before = target.positions.lock(position.origin, kind)
        if not before.is_older_than_the_log:
            return before
        with source.snapshot(kind):
            source.identity.check_position(kind, before, target.name)
        after = source.log.add_position(kind, before, target.name)
        if not target.positions.advance(before, after):
            raise PositionMoved
    return after
