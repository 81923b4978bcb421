"""A whole transfer: checks both sides, and moves chunk after chunk until no row waits.

The rule (docs/EXACTLY-ONCE.md): what has reached a bonus server is decided by that server's
database alone, written in the same transaction as the data. Anything unexpected rolls back.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from time import monotonic
from uuid import uuid4

from transfer.causes.connections import ANSWER_INVALID
from transfer.causes.ledger import BEGINNING_UNDECIDED, POSITION_INVALID, POSITION_MOVED
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.events import refusals_told
from transfer.engine.kind import Kind
from transfer.engine.knowledge import Knowledge
from transfer.engine.move.chunk import Chunk, PlanOutdated, move_chunk
from transfer.engine.move.fork import check_history, go_back
from transfer.engine.move.plan import Forked, ReceivedSoFar, has_unfinished
from transfer.engine.move.read_ahead import ReadAhead
from transfer.engine.received import BEFORE_THE_FIRST_LINE, Beginning, Place, Position
from transfer.engine.shop_all.log import Line
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import ServerUndecided, TooSlow, TransferError

CHUNK_ROWS = 50_000
MOST_MOVED_BY_OTHERS = 1000
"""How often others may change the position between two chunks of one transfer."""
MOST_OUTDATED = 100
"""How often in a row somebody may take back what the next chunk reads."""
SMALLER = 10  # by how much a chunk is divided that takes too long: each attempt costs minutes


def prepare(
    kind: Kind, source: ShopAll, target: BonusDatabase, knowledge: Knowledge, *, dry_run: bool
) -> Position:
    """Check both sides, and return the position from which a transfer goes on.

    1. Checks our schema on the bonus server; creates it where it is missing.
    2. Checks the staging table, and that shop All is the database that our own history knows.
    3. Adds to its log what was staged since (not in a dry run).
    4. Finds the position. There it begins one only where every answer is the same: nothing was ever
       staged.

    What only rows rely on that move is checked where some do: see `check_before_rows`. Most looks
    find none, and it takes most of their time.

    Raises ShopAllWentBack, BEGINNING_UNDECIDED, COPY_OF, and what the checks raise.
    """
    with refusals_told(kind.name, target.database.party):
        return _prepare(kind, source, target, knowledge, dry_run=dry_run)


def _prepare(
    kind: Kind, source: ShopAll, target: BonusDatabase, knowledge: Knowledge, *, dry_run: bool
) -> Position:
    target.ensure_schema()
    with source.snapshot():
        source.identity.check_staging(kind)
        source.identity.check_types(kind)
        origin = source.identity.origin()
        knowledge.check_shop_all(source, origin)
    if not dry_run:
        source.log_writer.append(kind)
    position = target.positions.get(origin, kind)
    if position is None:
        position = _begin(kind, source, target, origin, knowledge.server)
    knowledge.check_server(position, target.name, kind)
    if not dry_run:
        target.database.commit()
    return position


def check_before_rows(kind: Kind, source: ShopAll, target: BonusDatabase) -> None:
    """Check what is needed to move rows, and not to find that there are none.

    1. The vendor's table, and our rights to it.
    2. The defaults and triggers that give staged rows their names. A look does not need them: it
       finds a row by any name that no other row has, and `check_types` lets no name be null.

    Raises what `check_columns` and `check_rights` of the vendor's tables, and `check_naming` of
    the staging table raise.
    """
    target.tables.check_columns(kind)
    target.tables.check_rights(kind)
    with source.snapshot():
        source.identity.check_naming(kind)


def _begin(
    kind: Kind, source: ShopAll, target: BonusDatabase, origin: str, server: str
) -> Position:
    """Begin a position where nothing was ever staged. Raises BEGINNING_UNDECIDED elsewhere.

    Checks the tables first. If something keeps all rows from moving, the administrator learns it
    before the question.
    """
    check_before_rows(kind, source, target)
    with source.snapshot(kind):
        rows = source.log.count_staged(kind)
        if rows or not source.log.end(kind).is_begin:
            raise ServerUndecided(
                BEGINNING_UNDECIDED,
                database=target.name,
                kind=kind.name,
                table=kind.quoted_target,
                rows=rows,
                held=target.tables.count_rows(kind),
            )
    place = Place()
    position = Position(origin, kind.name, server, place, str(uuid4()), beginning=Beginning())
    target.positions.begin(position)
    target.positions.add_receipts(position, [BEFORE_THE_FIRST_LINE])
    return position


def transfer(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    origin: str,
    knowledge: Knowledge,
    *,
    dry_run: bool = False,
    chunk_rows: int = CHUNK_ROWS,
) -> Iterator[Chunk]:
    """Move every row that is in the log now, a chunk at a time, and yield each chunk.

    `origin` is that of the position which `prepare` returned. Where no row waits nothing is
    yielded, and nothing is written on any side. Where some do, the tables are checked before the
    first chunk: see `check_before_rows`. A chunk that runs into the time limit of a statement is
    tried again with fewer rows, and later chunks have as few.

    With `dry_run` all chunks are one transaction, and nothing is committed: closing the target
    rolls all of it back. Then a chunk that takes too long is not tried again.

    Raises TransferError; then, too, every chunk that was yielded has landed, and nothing of any
    other.
    """
    rows = chunk_rows
    progress = _Progress()
    expected: tuple[Line, ...] = ()
    if not dry_run and _is_idle(kind, source, target, origin):
        return
    with refusals_told(kind.name, target.database.party), _transaction(target, dry_run=dry_run):
        check_before_rows(kind, source, target)
    if dry_run:
        with source.snapshot(kind):
            position = _locked(kind, target, origin)
            if source.log.has(kind, position.place):
                exceptions = target.positions.exceptions(position)
                check_history(kind, source, target, position, exceptions)
            expected = tuple(source.log_writer.not_appended(kind))
    with ReadAhead(kind, source, target) as ahead:
        while True:
            started = monotonic()
            try:
                with refusals_told(kind.name, target.database.party):
                    chunk = _next_chunk(
                        *(kind, ahead, source, target, origin, knowledge, rows, expected, progress),
                        dry_run=dry_run,
                    )
            except PlanOutdated:
                progress.is_outdated(source)
                continue
            except TooSlow:
                # A statement that is ended before its time limit has waited for a lock: fewer rows
                # would not help.
                took_all_its_time = monotonic() - started >= target.database.limits.statement
                if dry_run or rows == 1 or not took_all_its_time:
                    raise
                rows = max(1, rows // SMALLER)
                continue
            if chunk is None:
                return
            progress.has_moved(chunk)
            yield chunk


class _Progress:
    """Sees to it that a transfer ends, whatever the two databases make of what it has written."""

    def __init__(self) -> None:
        self.last: Chunk | None = None
        self.moved_by_others = 0
        self.outdated = 0

    def has_moved(self, chunk: Chunk) -> None:
        self.last = chunk
        self.outdated = 0

    def is_outdated(self, source: ShopAll) -> None:
        """Count a plan that was outdated. Raises ANSWER_INVALID."""
        self.outdated += 1
        if self.outdated > MOST_OUTDATED:
            what = "datatransfer.log: withdrawn"
            raise TransferError(ANSWER_INVALID, party=source.database.party, what=what)

    def check(self, found: ReceivedSoFar, target: BonusDatabase) -> None:
        """Compare what is found before a chunk with what the last one has written.

        A trigger of the vendor's could put the position back when the chunk is committed: its rows
        would be moved for ever. Raises POSITION_INVALID, POSITION_MOVED.
        """
        if self.last is None:
            return
        if found.position.version != self.last.after.version:
            self.moved_by_others += 1
            if self.moved_by_others > MOST_MOVED_BY_OTHERS:
                raise TransferError(POSITION_MOVED)
        elif (found.position.place, found.exceptions.incomplete) != (
            self.last.after.place,
            self.last.incomplete,
        ):
            raise TransferError(
                POSITION_INVALID, database=target.name, column="number, mark, exception"
            )


def _is_idle(kind: Kind, source: ShopAll, target: BonusDatabase, origin: str) -> bool:
    """Return whether there is nothing to move or to pass.

    Nothing is locked: that alone would be written down. Ends the caller's transaction on the
    target. Raises HISTORY_TOO_OLD.
    """
    target.database.roll_back()
    with target.database.transaction(commit=False):
        found = target.positions.get_with_exceptions(origin, kind)
    if found is None:
        return False
    position, exceptions = found
    with source.snapshot():
        is_at_end = source.log.end(kind) == position.place
        if not is_at_end and not source.log.has(kind, position.place):
            return False
        check_history(kind, source, target, position, exceptions)
        return is_at_end and not has_unfinished(kind, source, ReceivedSoFar(position, exceptions))


def _transaction(target: BonusDatabase, *, dry_run: bool) -> AbstractContextManager[None]:
    """Return a transaction that ends with the block; in a dry run, the only one goes on."""
    database = target.database
    return database.explained() if dry_run else database.transaction(commit=False)


def _next_chunk(
    kind: Kind,
    ahead: ReadAhead,
    source: ShopAll,
    target: BonusDatabase,
    origin: str,
    knowledge: Knowledge,
    rows: int,
    expected: tuple[Line, ...],
    progress: _Progress,
    *,
    dry_run: bool = False,
    has_gone_back: bool = False,
) -> Chunk | None:
    """Move the next chunk in one transaction of the target; None when nothing is left to do.

    Where the log is another one since a restore, the position is put back to the fork first, in a
    transaction of its own. Raises POSITION_MOVED where it then stands elsewhere.
    """
    database = target.database
    ahead.take_session()
    with _transaction(target, dry_run=dry_run):
        position = _locked(kind, target, origin)
        state = ReceivedSoFar(position, target.positions.exceptions(position), expected)
        progress.check(state, target)
        try:
            plan = ahead.plan(state, rows)
        except Forked:
            if has_gone_back:
                raise TransferError(POSITION_MOVED) from None
            go_back(kind, source, target, position, knowledge.installation)
            if not dry_run:
                database.commit()
        else:
            if plan is None:
                return None
            return move_chunk(plan, ahead, source, target, dry_run=dry_run)
    return _next_chunk(
        *(kind, ahead, source, target, origin, knowledge, rows, expected, progress),
        dry_run=dry_run,
        has_gone_back=True,
    )


def _locked(kind: Kind, target: BonusDatabase, origin: str) -> Position:
    """Return the position, locked. Raises AlreadyRunning, POSITION_MOVED where it is gone."""
    position = target.positions.lock(origin, kind)
    if position is None:
        raise TransferError(POSITION_MOVED)
    return position
