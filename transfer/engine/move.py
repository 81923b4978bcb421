"""Moves one chunk, and a whole transfer chunk by chunk. Knows no history, and no Django.

The rule (DESIGN §3): what has reached a bonus server is decided by one row of that server's
database, written in the same transaction as the data. Anything unexpected rolls back.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from uuid import uuid4

import psycopg2

from transfer.engine.batches import Batch, Readers
from transfer.engine.bonus_db import BonusDatabase
from transfer.engine.errors import CommitUnconfirmed, HistoryChanged, PositionLost, PositionMoved
from transfer.engine.kinds import Kind
from transfer.engine.position import Position, Totals
from transfer.engine.postgres import is_broken
from transfer.engine.refusals import Bisection
from transfer.engine.shop_all import ShopAll
from transfer.engine.stream import Unreadable, receive, receive_bytes
from transfer.errors import TransferError

CHUNK_ROWS = 50_000
IS_GOOD = "fault is null and late_fault is null"

# No plan may hang on statistics: rows are looked up by index whatever the planner believes.
PLANS = "set local enable_seqscan = off; set local jit = off; set local work_mem = '64MB'"


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
    began = False
    while True:
        chunk = move_chunk(kind, source, target, origin, chunk_rows, dry_run)
        if chunk is None:
            return
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
            logged, known = source.readers(kind), readers()
            if known.mine or target.has_positions(kind) or logged - known.others:
                raise PositionLost(database=target.name, kind=kind.name)
            rows, amount = source.purged(kind)
            last_purge = source.last_purge(origin, kind)
        position = Position(
            origin,
            kind.name,
            purged_rows=rows,
            purged_amount=amount,
            reader=str(uuid4()),
            purge_accepted=last_purge,
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
        batch = source.add_batch(before, target.name, before.snapshot)
        after = replace(before, number=batch.number, token=batch.token)
        if not target.advance(before, after):
            raise PositionMoved
    return after


def move_chunk(
    kind: Kind,
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
        received = fill(kind, source, target, before, batch, chunk_rows, dry_run)
        changed = apply(kind, target) if received else 0
        totals, last = judge(kind, target, changed)
        if kind.appends and changed != totals.applied + totals.unchanged:
            raise target.swallowed(kind)
        reasons = count_reasons(target) if totals.rejected else {}
        if totals.rejected:
            source.check_numbers(kind, origin, target.add_rejects(kind, before))
        after = following(before, batch, last, totals, exhausted=received < chunk_rows)
        if not target.advance(before, after):
            raise PositionMoved
        if not dry_run:
            commit(kind, target, before, after)
    return Chunk(before, after, reasons)


def next_batch(
    kind: Kind, source: ShopAll, target: BonusDatabase, position: Position, dry_run: bool
) -> Batch | None:
    """The batch under way, or a new one, committed and flushed; None when no row waits."""
    if position.reading is not None:
        return Batch(position.number, position.token or "", position.reading)
    with source.snapshot():
        if not dry_run:
            source.check_position(kind, position, target.name)
        source.read_in_order()
        if not source.is_waiting(kind, position):
            return None
        now = source.current_snapshot()
    if dry_run:
        return Batch(position.number, position.token or "", now)
    return source.add_batch(position, target.name)


def fill(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    before: Position,
    batch: Batch,
    rows: int,
    dry_run: bool,
) -> int:
    """Fills `incoming` with the next rows of the batch, and returns how many there are."""
    target.execute(f"drop table if exists pg_temp.incoming; {kind.incoming}; savepoint empty")
    for way in (receive, receive_bytes):
        with source.snapshot():
            if not dry_run:
                source.check_position(kind, before, target.name)
                source.check_batch(replace(before, **batch.named))
            source.read_in_order()
            query = source.chunk_query(kind, before, batch.snapshot, rows)
            try:
                received = way(kind, source, query, target)
                if received and kind.appends:
                    refuse_accepted(kind, source, target)
                return received
            except Unreadable:
                target.execute("rollback to savepoint empty")
    raise AssertionError


# The rows are looked up by place: nothing is compared each with each.
REFUSE_ACCEPTED = """
    update incoming set late_fault = 'accepted_before'
     where fault is null and late_fault is null and xid = %(xid)s and id = %(id)s
       and not exists (select from datatransfer.reject
                        where origin = any(%(origins)s::uuid[]) and kind = %(kind)s
                          and staging_id = %(old_id)s)
"""


def refuse_accepted(kind: Kind, source: ShopAll, target: BonusDatabase) -> None:
    """Rejects rows that were sent in place of one which this server, unlike others, accepted."""
    first, last = target.one(
        "select min(xid::text::bigint)::text, max(xid::text::bigint)::text from incoming"
    )
    rows = source.replacing(kind, first, last)
    if rows:
        target.execute("create index on incoming (xid, id)")
    for xid, id_, origins, old_id in rows:
        values = {"xid": xid, "id": id_, "origins": origins, "old_id": old_id, "kind": kind.name}
        target.execute(REFUSE_ACCEPTED, values)


def apply(kind: Kind, target: BonusDatabase) -> int:
    """Applies the good rows, and returns how many rows of the target changed.

    What the vendor's table refuses is marked in `incoming` as a reject.
    """

    def refuse(row: str, sqlstate: str, constraint: str | None) -> None:
        target.execute(
            "update incoming set late_fault = 'refused_by_server', sqlstate = %s, "
            f"constraint_name = %s where {row}",
            [sqlstate, constraint],
        )

    good = "with good as not materialized (select *, ctid as line from incoming where {rows})"
    target.execute(f"{PLANS}; set constraints all immediate")
    statements = [f"{good} {statement}" for statement in (*kind.refuse, *kind.apply)]
    return Bisection(target, "incoming", statements, refuse).run(IS_GOOD)


JUDGE = f"""
    select count(*) filter (where {IS_GOOD}), count(*) filter (where not ({IS_GOOD})),
           coalesce(sum({{amount}}) filter (where {IS_GOOD}), 0),
           coalesce(sum({{amount}}) filter (where not ({IS_GOOD})), 0)
      from incoming
"""


def judge(kind: Kind, target: BonusDatabase, changed: int) -> tuple[Totals, tuple[int, int] | None]:
    """What became of the chunk's rows, and the last (xid, id) that arrived."""
    good, rejected, amount, amount_rejected = target.one(JUDGE.format(amount=kind.amount))
    last = target.rows("select xid, id from incoming order by xid desc, id desc limit 1")
    totals = Totals(changed, good - changed, rejected, amount, amount_rejected)
    return totals, (int(last[0][0]), last[0][1]) if last else None


def count_reasons(target: BonusDatabase) -> dict[str, int]:
    query = (
        "select coalesce(late_fault, fault) as code, count(*) from incoming "
        f"where not ({IS_GOOD}) group by code"
    )
    return dict(target.rows(query))


def following(
    before: Position,
    batch: Batch,
    last: tuple[int, int] | None,
    gained: Totals,
    *,
    exhausted: bool,
) -> Position:
    """The position after a chunk: moved on within its batch, or, exhausted, past it."""
    named = replace(
        before, number=batch.number, token=batch.token or None, totals=before.totals + gained
    )
    if exhausted or last is None:
        return replace(
            named, read_through=batch.snapshot, reading=None, last_xid=None, last_id=None
        )
    return replace(named, reading=batch.snapshot, last_xid=last[0], last_id=last[1])


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
