"""What a chunk holds, counted in shop All before a row of it is sent. No Django.

While one chunk is on its way, the next is surveyed through another connection: what the checks
and the sums take is then spent beside what the bonus server's indexes take.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Self

from psycopg2 import sql

from transfer.engine.kinds import Kind
from transfer.engine.move.stream import Sending
from transfer.engine.position import Position, Totals
from transfer.engine.shop_all.batch_log import Batch
from transfer.engine.shop_all.reader import ShopAll
from transfer.errors import TransferError

Last = tuple[int, int]  # (xid, id)

# Offset 0: the checks run once a row, and not once for each of the sums.
COUNT = "select {} from ({} offset 0) as judged"


@dataclass(frozen=True)
class Portion:
    """Which rows are moved next: so many of the batch after the position `before`."""

    kind: Kind
    server: str
    before: Position
    batch: Batch
    rows: int
    dry_run: bool

    def query(self, source: ShopAll) -> sql.Composed:
        """The rows as `source` sees them, whose past is checked in the same snapshot."""
        source.hold(self.kind)
        if not self.dry_run:
            source.check_position(self.kind, self.before, self.server)
            source.check_batch(replace(self.before, **self.batch.named))
        source.read_in_order()
        return source.chunk_query(self.kind, self.before, self.batch.snapshot, self.rows)

    def after(self, totals: Totals, last: Last | None) -> Position:
        """The position after them: moved on within the batch, or past it, if they were its last."""
        named = replace(
            self.before,
            number=self.batch.number,
            token=self.batch.token or None,
            totals=self.before.totals + totals,
        )
        if last is None or totals.read < self.rows:
            past = self.batch.snapshot
            return replace(named, read_through=past, reading=None, last_xid=None, last_id=None)
        return replace(named, reading=self.batch.snapshot, last_xid=last[0], last_id=last[1])


@dataclass(frozen=True)
class Survey:
    """What a chunk holds, as `source` sees it in `snapshot`, in which it is to send it."""

    portion: Portion
    source: ShopAll
    snapshot: ExitStack
    query: sql.Composed
    totals: Totals  # when the bonus server takes every row that passes the checks
    last: Last | None
    has_replacing: bool  # rows that only servers get which have rejected another
    sending: Sending | None  # of all rows, where they go into `incoming`

    @property
    def after(self) -> Position:
        return self.portion.after(self.totals, self.last)


def survey(portion: Portion, source: ShopAll) -> Survey:
    with ExitStack() as stack:
        stack.enter_context(source.snapshot())
        query = portion.query(source)
        counts = sql.SQL(portion.kind.counts if portion.kind.appends else "count(*), 0, 0, 0")
        good, *others = source.one(sql.SQL(COUNT).format(counts, query))
        totals = Totals(good, 0, *others)
        last = source.last_of(query, totals.read)
        if portion.kind.appends:
            first = portion.before.oldest_unread
            replacing = last is not None and bool(source.replacing(portion.kind, first, last[0]))
            return Survey(portion, source, stack.pop_all(), query, totals, last, replacing, None)
        sending = Sending(source, query)
        stack.callback(sending.drop)
        sending.begin()
        return Survey(portion, source, stack.pop_all(), query, totals, last, False, sending)


class Surveyor:
    """Surveys chunk after chunk, the next one ahead."""

    def __init__(self, source: ShopAll) -> None:
        self.source = source
        self.doors = [source.another(), source.another()]  # one sends while the other looks ahead
        self.thread = ThreadPoolExecutor(1, "survey")
        self.ahead: Future[Survey] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.ahead is not None:
            self.doors[0].cancel()
            with suppress(TransferError):
                self.ahead.result().snapshot.close()
        self.thread.shutdown()
        for door in self.doors:
            door.close()

    def survey(self, portion: Portion) -> Survey:
        """That of the chunk: the one made ahead, if there is one, and of this position."""
        if self.ahead is not None:
            # What failed ahead may only lack a connection, and is tried again.
            with suppress(TransferError):
                made = self.ahead.result()
                if made.portion.before.key == portion.before.key:
                    return made
                made.snapshot.close()
        return survey(portion, self.source)

    def look_ahead(self, made: Survey) -> None:
        """Begins to survey the chunk after that of `made`, if there will be one."""
        self.ahead = None
        if made.after.reading is None:
            return
        self.doors.reverse()
        portion = replace(made.portion, before=made.after)
        self.ahead = self.thread.submit(survey, portion, self.doors[0])
