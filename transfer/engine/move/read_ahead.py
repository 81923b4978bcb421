"""Streams the rows of one chunk after the other, the next one begun ahead.

While the bonus server applies a chunk, shop All reads, checks and sorts the next one through a
second connection, and sends as much as the pipe takes.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Self

from transfer.engine.move.plan import ChunkPlan, Last
from transfer.engine.move.stream import Sending
from transfer.engine.position import Totals
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError


@dataclass(frozen=True)
class Begun:
    """A stream that has begun, and the snapshot of shop All that it reads in."""

    plan: ChunkPlan
    sending: Sending
    snapshot: ExitStack


class ReadAhead:
    """Sends planned chunks. What was sent ahead only ever replaces the same stream begun later.

    A stream begun ahead is used only for exactly the position that it was begun for. It locks the
    staging table from before its snapshot on, so rows are not renumbered meanwhile.
    If its connection is lost while it waits, even after all rows were sent, they are read again:
    see `chunk.receive`.
    """

    def __init__(self, source: ShopAll) -> None:
        self.source = source
        self.second = source.another()
        self.ahead: Begun | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._discard()
        self.second.database.close()

    @contextmanager
    def rows(self, plan: ChunkPlan) -> Iterator[Sending]:
        """The stream of the chunk, within the snapshot that it reads in.

        It is the one begun ahead, if that is for the same position and as many rows. Asked a second
        time, it begins to read the chunk through the first connection.
        """
        if self.ahead is not None and not self.ahead.plan.sends_the_rows_of(plan):
            self._discard()
        begun, self.ahead = self.ahead or self._begin(plan, self.source), None
        with begun.snapshot:
            yield begun.sending

    def begin_next(self, plan: ChunkPlan, read: int, last: Last | None) -> None:
        """Begins to send the chunk after `plan`, of which `read` rows have arrived, if any is left.

        An error is left for `rows` to find: the chunk is then read when its turn comes.
        """
        before = plan.after(Totals(read), last)
        if before.reading is not None:
            with suppress(TransferError):
                self.ahead = self._begin(replace(plan, before=before), self.second)

    def _begin(self, plan: ChunkPlan, source: ShopAll) -> Begun:
        with ExitStack() as stack:
            stack.enter_context(source.snapshot(plan.kind))
            if source is self.second:
                source.reader.wait_for_reader()
            sending = Sending(source, plan.query(source))
            stack.callback(sending.drop)
            sending.begin()
            return Begun(plan, sending, stack.pop_all())

    def _discard(self) -> None:
        if self.ahead is not None:
            with suppress(TransferError):
                self.ahead.snapshot.close()
            self.ahead = None
