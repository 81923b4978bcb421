"""A whole transfer: moves chunk after chunk until no row waits.

The rule (docs/EXACTLY-ONCE.md): what has reached a bonus server is decided by one row of that
server's database, written in the same transaction as the data. Anything unexpected rolls back.
"""

from collections.abc import Iterator
from time import monotonic

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.move.chunk import Chunk, move_chunk
from transfer.engine.move.plan import ChunkPlan
from transfer.engine.move.read_ahead import ReadAhead
from transfer.engine.position import Position
from transfer.engine.shop_all.batches import Batch
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TooSlow

CHUNK_ROWS = 50_000
SMALLER = 10  # by how much a chunk is divided that takes too long: each attempt costs minutes


def transfer(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    origin: str,
    *,
    chunk_rows: int = CHUNK_ROWS,
    rows_wait: bool = False,
    dry_run: bool = False,
) -> Iterator[Chunk]:
    """Moves every row that is committed now, a chunk at a time, and yields each chunk.

    `origin` is what `prepare` returned. A batch that a crash cut short is finished first. Where no
    row waits nothing is yielded, and nothing is written on any side. A caller that has just seen
    that rows wait says so with `rows_wait`: then the position is locked at once, and whether they
    wait is asked under the lock alone. A chunk that runs into the time limit of a statement is
    tried again with fewer rows, and later chunks have as few.

    With `dry_run` all chunks are one transaction, and nothing is committed: closing the target
    rolls all of it back. Then a chunk that takes too long is not tried again.

    Raises TransferError; then, too, every chunk that was yielded has landed, and nothing of any
    other.
    """
    if rows_wait:
        target.database.roll_back()  # the caller's questions: a chunk has a transaction of its own
    elif is_idle(kind, source, target, origin, dry_run):
        return
    began, rows = False, chunk_rows
    with ReadAhead(source) as ahead:
        while True:
            started = monotonic()
            try:
                chunk = _next_chunk(kind, ahead, source, target, origin, rows, dry_run)
            except TooSlow:
                if dry_run or rows == 1 or not _took_all_its_time(target, monotonic() - started):
                    raise
                rows = max(1, rows // SMALLER)
                continue
            if chunk is None:
                return
            began = began or chunk.before.reading is None
            yield chunk
            if began and chunk.after.reading is None:
                return


def _took_all_its_time(target: BonusDatabase, seconds: float) -> bool:
    """Whether a statement may have run into its time limit, and did not just wait for a lock."""
    return seconds >= target.database.limits.statement


def _next_chunk(
    kind: Kind,
    ahead: ReadAhead,
    source: ShopAll,
    target: BonusDatabase,
    origin: str,
    chunk_rows: int,
    dry_run: bool,
) -> Chunk | None:
    """Moves the next chunk in one transaction of the target; None when no row waits."""
    with target.database.transaction(commit=False) if not dry_run else target.database.explained():
        before = target.positions.lock(origin, kind)
        batch = next_batch(kind, source, target, before, dry_run)
        if batch is None:
            return None
        plan = ChunkPlan(kind, target.name, before, batch, chunk_rows, dry_run)
        return move_chunk(plan, ahead, source, target, origin)


def is_idle(kind: Kind, source: ShopAll, target: BonusDatabase, origin: str, dry_run: bool) -> bool:
    """Whether there is nothing to move. Nothing is locked: that alone would be written down."""
    with target.database.transaction(commit=False) if not dry_run else target.database.explained():
        position = target.positions.get(origin, kind)
    if position is None or position.reading is not None:
        return False
    return waits(kind, source, target, position, dry_run) is None


def waits(
    kind: Kind, source: ShopAll, target: BonusDatabase, position: Position, dry_run: bool
) -> str | None:
    """The present snapshot of shop All, if a row waits."""
    with source.snapshot(kind):
        if not dry_run:
            source.identity.check_position(kind, position, target.name)
        source.reader.read_in_order()
        return (
            source.reader.current_snapshot() if source.reader.is_waiting(kind, position) else None
        )


def next_batch(
    kind: Kind, source: ShopAll, target: BonusDatabase, position: Position, dry_run: bool
) -> Batch | None:
    """The batch under way, or a new one, committed and flushed; None when no row waits.

    Its number follows the position's, unless the server has lost what it had read since: then rows
    that were changed in between are noted.
    """
    if position.reading is not None:
        return Batch(position.number, position.token or "", position.reading)
    now = waits(kind, source, target, position, dry_run)
    if now is None:
        return None
    if dry_run:
        return Batch(position.number, position.token or "", now)
    new = source.log.add(kind, position, target.name)
    if kind.appends and new.number > position.number + 1:
        source.uncertain_changes.add_unread(kind, position)
    return new
