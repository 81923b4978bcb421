"""Moves one chunk, and a whole transfer chunk by chunk. Knows no history, and no Django.

The rule (DESIGN §3): what has reached a bonus server is decided by one row of that server's
database, written in the same transaction as the data. Anything unexpected rolls back.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from uuid import uuid4

import psycopg2

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import CommitUnconfirmed, HistoryChanged, PositionLost, PositionMoved
from transfer.engine.kinds import Kind
from transfer.engine.move.chunk import count_reasons, land
from transfer.engine.move.survey import Portion, Surveyor
from transfer.engine.position import Position, Totals
from transfer.engine.postgres.database import is_broken
from transfer.engine.shop_all.batch_log import Batch, Readers
from transfer.engine.shop_all.reader import ShopAll
from transfer.errors import TransferError

CHUNK_ROWS = 50_000


@dataclass(frozen=True)
class Chunk:
    """What one target transaction did."""

    before: Position
    after: Position
    reasons: dict[str, int] = field(default_factory=dict)  # check code → rows rejected

    @property
    def totals(self) -> Totals:
        return self.after.totals - self.before.totals


def transfer(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    origin: str,
    *,
    chunk_rows: int = CHUNK_ROWS,
    dry_run: bool = False,
) -> Iterator[Chunk]:
    """Moves every row that is committed now, a chunk at a time, and yields each chunk.

    `origin` is what `prepare` returned. A batch that a crash cut short is finished first. Where no
    row waits nothing is yielded, and nothing is written on any side. With `dry_run` nothing is
    committed: closing the target rolls all of it back. Raises TransferError; then, too, every
    chunk that was yielded has landed, and nothing of any other.
    """
    if is_idle(kind, source, target, origin, dry_run):
        return
    began = False
    with Surveyor(source) as surveyor:
        while chunk := move_chunk(kind, surveyor, source, target, origin, chunk_rows, dry_run):
            began = began or chunk.before.reading is None
            yield chunk
            if began and chunk.after.reading is None:
                return


def prepare(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    readers: Callable[[], Readers] = Readers,
    *,
    dry_run: bool = False,
) -> Position:
    """Checks both sides, begins a position where there never was one, and returns it.

    `readers` asks our own database who reads, for this transfer and for others.

    Raises PositionLost when there was one, as far as anybody knows; HistoryChanged, RowsPurged,
    PositionOvertaken.
    """
    target.ensure_schema()
    target.check_columns(kind)
    target.check_rights(kind)
    with source.snapshot():
        source.require_log()
        source.check_columns(kind)
        origin = source.origin()
        position = target.position(origin, kind)
    if position is None:
        return _begin(kind, source, target, origin, readers, dry_run)
    _check_past(kind, source, target, position, dry_run)
    if position.reader is None:
        position = _give_reader(kind, target, position, readers)
    if not dry_run:
        target.commit()
        position = _into_log(kind, source, target, position)
    return position


def _check_past(
    kind: Kind, source: ShopAll, target: BonusDatabase, position: Position, dry_run: bool
) -> None:
    target.check_overtaken(position)
    try:
        with source.snapshot():
            source.check_position(kind, position, target.name)
    except HistoryChanged:
        if not dry_run:
            source.note_missed(position)
        raise


def _begin(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    origin: str,
    readers: Callable[[], Readers],
    dry_run: bool,
) -> Position:
    # The snapshot is younger than the lock: a purge that has just ended is seen.
    with source.purge_held_off():
        with source.snapshot():
            # The log first: whoever has a batch in it was noted in our own database before.
            source.check_table(kind)
            logged, known = source.readers(kind), readers()
            if known.mine or target.has_positions(kind) or logged - known.others:
                raise PositionLost(database=target.name, kind=kind.name)
            rows, amount = source.purged(kind)
            position = Position(
                origin,
                kind.name,
                purged_rows=rows,
                purged_amount=amount,
                reader=str(uuid4()),
                purge_accepted=source.last_purge(origin, kind),
            )
        target.begin_position(position)
        if not dry_run:
            target.commit()
    return position


def _give_reader(
    kind: Kind, target: BonusDatabase, position: Position, readers: Callable[[], Readers]
) -> Position:
    """A position from before the log gets a reader; later copies of it are not trusted."""
    if readers().mine:
        raise PositionLost(database=target.name, kind=kind.name)
    target.adopt_position(position.origin, kind.name, str(uuid4()))
    return target.lock_position(position.origin, kind)


def _into_log(kind: Kind, source: ShopAll, target: BonusDatabase, position: Position) -> Position:
    """Writes the batch that a position from before the log has moved, so that it names one."""
    if not position.is_older_than_the_log:
        return position
    with target.transaction():
        before = target.lock_position(position.origin, kind)
        if not before.is_older_than_the_log:
            return before
        with source.snapshot():
            source.check_position(kind, before, target.name)
        after = source.put_into_log(before, target.name)
        if not target.advance(before, after):
            raise PositionMoved
    return after


def move_chunk(
    kind: Kind,
    surveyor: Surveyor,
    source: ShopAll,
    target: BonusDatabase,
    origin: str,
    chunk_rows: int,
    dry_run: bool,
) -> Chunk | None:
    """Moves the next chunk in one transaction of the target; None when no row waits."""
    with target.transaction(commit=False) if not dry_run else target.explained():
        before = target.lock_position(origin, kind)
        batch = next_batch(kind, source, target, before, dry_run)
        if batch is None:
            return None
        portion = Portion(kind, target.name, before, batch, chunk_rows, dry_run)
        totals, last = land(portion, surveyor, source, target)
        reasons = count_reasons(target) if totals.rejected else {}
        if totals.rejected:
            numbers = target.add_rejects(kind, before)
            if source.has_notes(kind, origin, *numbers):  # of older rows, as a rule
                source.check_numbers(kind, origin, target.rejected())
        after = portion.after(totals, last)
        if not target.advance(before, after):
            raise PositionMoved
        if not dry_run:
            commit(kind, target, before, after)
    return Chunk(before, after, reasons)


def is_idle(kind: Kind, source: ShopAll, target: BonusDatabase, origin: str, dry_run: bool) -> bool:
    """Whether there is nothing to move. Nothing is locked: that alone would be written down."""
    with target.transaction(commit=False) if not dry_run else target.explained():
        position = target.position(origin, kind)
    if position is None or position.reading is not None:
        return False
    return waits(kind, source, target, position, dry_run) is None


def waits(
    kind: Kind, source: ShopAll, target: BonusDatabase, position: Position, dry_run: bool
) -> str | None:
    """What shop All's snapshot is now, if a row waits."""
    with source.snapshot():
        if not dry_run:
            source.check_position(kind, position, target.name)
        source.read_in_order()
        return source.current_snapshot() if source.is_waiting(kind, position) else None


def next_batch(
    kind: Kind, source: ShopAll, target: BonusDatabase, position: Position, dry_run: bool
) -> Batch | None:
    """The batch under way, or a new one, committed and flushed; None when no row waits."""
    if position.reading is not None:
        return Batch(position.number, position.token or "", position.reading)
    now = waits(kind, source, target, position, dry_run)
    if now is None:
        return None
    if dry_run:
        return Batch(position.number, position.token or "", now)
    return source.add_batch(position, target.name)


def commit(kind: Kind, target: BonusDatabase, before: Position, after: Position) -> None:
    """Commits the chunk; if the answer is lost, the position tells whether it landed.

    Raises CommitUnconfirmed when it did not, or when that can't be known now: the next run reads
    the position first, so nothing is retried blindly.
    """
    try:
        target.connection.commit()
    except psycopg2.Error as error:
        if not is_broken(error):
            raise
        target.close()
        try:
            with target.transaction(commit=False):
                held = target.position(before.origin, kind, wait=True)
        except TransferError as failure:
            raise CommitUnconfirmed(failure.technical, database=target.name) from failure
        if held is None or held.key != after.key:
            raise CommitUnconfirmed(database=target.name) from error
