"""Moves one chunk, and a whole transfer chunk by chunk. Knows no history, and no Django.

The rule (DESIGN §3): what has reached a bonus server is decided by one row of that server's
database, written in the same transaction as the data. Anything unexpected rolls back.
"""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import psycopg2
from psycopg2 import sql

from transfer.engine.bonus_db import BonusDatabase
from transfer.engine.kinds import Kind
from transfer.engine.position import Position, Totals
from transfer.engine.postgres import is_broken
from transfer.engine.shop_all import ShopAll
from transfer.errors import CommitUnconfirmed, PositionMoved, RowsLostOnTheWay, TransferError

CHUNK_ROWS = 50_000
IS_GOOD = "fault is null and late_fault is null"
BUFFER = 1 << 16


@dataclass(frozen=True)
class Reject:
    """A row that was not applied, as it came, PIN codes masked."""

    xid: int
    id: int
    code: str
    payload: dict[str, str | None]


@dataclass(frozen=True)
class Chunk:
    """What one target transaction did."""

    before: Position
    after: Position
    reasons: dict[str, int] = field(default_factory=dict)  # check code → rows rejected

    @property
    def totals(self) -> Totals:
        return self.after.totals - self.before.totals


# Saves the rejects of a chunk, named by the position before it, before the target commits. Called
# again for the same position, it replaces what it saved: the chunk had been rolled back.
SaveRejects = Callable[[Position, Iterator[Reject]], None]


def transfer(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    origin: str,
    *,
    chunk_rows: int = CHUNK_ROWS,
    save_rejects: SaveRejects | None = None,
    dry_run: bool = False,
) -> Iterator[Chunk]:
    """Moves every row that is committed now, a chunk at a time, and yields each chunk.

    `origin` is what `prepare` returned. A batch that a crash cut short is finished first. With
    `dry_run` nothing is committed: closing the target rolls all of it back. Raises TransferError;
    then, too, every chunk that was yielded has landed, and nothing of any other.
    """
    began = False
    while True:
        chunk = move_chunk(kind, source, target, origin, chunk_rows, save_rejects, dry_run)
        began = began or chunk.before.reading is None
        yield chunk
        if began and chunk.after.reading is None:
            return


def prepare(
    kind: Kind, source: ShopAll, target: BonusDatabase, *, dry_run: bool = False
) -> Position:
    """Checks both sides, begins a position where there is none, and returns it."""
    target.ensure_schema()
    target.check_columns(kind)
    with source.snapshot():
        source.check_columns(kind)
        origin = source.origin()
        position = target.position(origin, kind)
        if position is None:
            source.hold_off_purge()
            rows, amount = source.purged(kind)
            position = Position(origin, kind.name, purged_rows=rows, purged_amount=amount)
            target.begin_position(position)
        if not dry_run:
            with target.explained():
                target.connection.commit()
    return position


def move_chunk(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    origin: str,
    chunk_rows: int,
    save_rejects: SaveRejects | None,
    dry_run: bool,
) -> Chunk:
    """Moves the next chunk in one transaction of the target."""
    with target.transaction(commit=False) if not dry_run else target.explained():
        before = target.lock_position(origin, kind)
        target.execute("drop table if exists pg_temp.incoming")
        target.execute(kind.incoming)
        with source.snapshot():
            source.read_in_order()
            source.check_position(kind, before)
            reading = before.reading or source.current_snapshot()
            query = source.chunk_query(kind, before, reading, chunk_rows)
            received = stream_rows(kind, source, query, target)
        totals, last = judge(kind, target)
        reasons = count_reasons(target) if totals.rejected else {}
        if save_rejects is not None:
            save_rejects(before, stream_rejects(kind, target) if totals.rejected else iter(()))
        changed = apply_good(kind, target) if received else 0
        totals = replace(totals, applied=changed, unchanged=totals.applied - changed)
        after = following(before, reading, last, totals, exhausted=received < chunk_rows)
        if not target.advance(before, after):
            raise PositionMoved
        if not dry_run:
            commit(kind, target, before, after)
    return Chunk(before, after, reasons)


def stream_rows(kind: Kind, source: ShopAll, query: sql.Composed, target: BonusDatabase) -> int:
    """Streams the rows of `query` into `incoming`, and returns how many arrived.

    They go by binary COPY through a pipe and never become Python objects. A source that dies in
    mid-stream looks like a clean end to the target, so both sides' counts are compared.
    Raises RowsLostOnTheWay, or what broke on either side.
    """
    reader, writer = os.pipe()
    sending = Sending(source, query, writer)
    names = ", ".join(["xid", "id", *(column.name for column in kind.columns)])
    try:
        with (
            os.fdopen(reader, "rb", buffering=BUFFER) as rows,
            target.explained(),
            target.connection.cursor() as cursor,
        ):
            sending.start()
            cursor.copy_expert(f"copy incoming ({names}) from stdin (format binary)", rows, BUFFER)
            received = cursor.rowcount
    except BaseException:
        sending.abandon()
        raise
    sent = sending.result()
    if sent != received:
        raise RowsLostOnTheWay(sent=sent, received=received)
    return received


class Sending(threading.Thread):
    """The source's half of a stream, beside the target's."""

    def __init__(self, source: ShopAll, query: sql.Composed, writer: int) -> None:
        super().__init__(name="source", daemon=True)
        self.source = source
        self.statement = sql.SQL("copy ({}) to stdout (format binary)").format(query)
        self.writer = writer
        self.sent = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with (
                os.fdopen(self.writer, "wb", buffering=BUFFER) as rows,
                self.source.explained(),
                self.source.connection.cursor() as cursor,
            ):
                cursor.copy_expert(self.statement, rows, BUFFER)
                self.sent = cursor.rowcount
        except BaseException as error:
            self.error = error  # result() raises it in the thread that waits

    def result(self) -> int:
        """How many rows the source sent. Raises what stopped it."""
        self.join()
        if self.error is not None:
            raise self.error
        return self.sent

    def abandon(self) -> None:
        """Ends the source's statement, since nobody reads its rows any more."""
        if self.is_alive():
            self.source.cancel()
            self.join()
        self.source.close()


JUDGE = f"""
    select count(*) filter (where {IS_GOOD}), count(*) filter (where not ({IS_GOOD})),
           coalesce(sum({{amount}}) filter (where {IS_GOOD}), 0),
           coalesce(sum({{amount}}) filter (where not ({IS_GOOD})), 0)
      from incoming
"""


def judge(kind: Kind, target: BonusDatabase) -> tuple[Totals, tuple[int, int] | None]:
    """Splits the chunk into good rows and rejects: totals, and the last (xid, id) that arrived."""
    for statement in kind.refuse:
        target.execute(statement)
    good, rejected, amount, amount_rejected = target.one(JUDGE.format(amount=kind.amount))
    last = target.rows("select xid, id from incoming order by xid desc, id desc limit 1")
    totals = Totals(good, 0, rejected, amount, amount_rejected)
    return totals, (int(last[0][0]), last[0][1]) if last else None


def apply_good(kind: Kind, target: BonusDatabase) -> int:
    """Applies the good rows, and returns how many rows of the target changed."""
    good = f"with good as not materialized (select * from incoming where {IS_GOOD})"
    return sum(target.execute(good + statement) for statement in kind.apply)


def count_reasons(target: BonusDatabase) -> dict[str, int]:
    query = (
        "select coalesce(fault, late_fault) as code, count(*) from incoming "
        f"where not ({IS_GOOD}) group by code"
    )
    return dict(target.rows(query))


def stream_rejects(kind: Kind, target: BonusDatabase) -> Iterator[Reject]:
    query = (
        f"select xid, id, coalesce(fault, late_fault), {kind.payload} from incoming "
        f"where not ({IS_GOOD}) order by xid, id"
    )
    for xid, id_, code, payload in target.stream(query):
        yield Reject(int(xid), id_, code, payload)


def following(
    before: Position,
    reading: str,
    last: tuple[int, int] | None,
    gained: Totals,
    *,
    exhausted: bool,
) -> Position:
    """The position after a chunk: moved on within its batch, or, exhausted, past it."""
    totals = before.totals + gained
    if exhausted or last is None:
        return replace(
            before, read_through=reading, reading=None, last_xid=None, last_id=None, totals=totals
        )
    return replace(before, reading=reading, last_xid=last[0], last_id=last[1], totals=totals)


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
