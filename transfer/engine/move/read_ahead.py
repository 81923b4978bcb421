"""Streams the rows of one chunk after the other, the next one begun ahead.

While the bonus server applies a chunk, shop All reads, checks and sorts the next one through a
second connection, and sends it as far as our memory takes it (`stream.MOST_HELD`).
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Self

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.move.plan import ChunkPlan, Forked, ReceivedSoFar, plan_chunk
from transfer.engine.move.stream import Sending
from transfer.engine.shop_all.rows import Reading
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError


@dataclass(frozen=True)
class Begun:
    """A plan whose rows are being sent, and the snapshot of shop All that they are read in."""

    plan: ChunkPlan
    sending: Sending
    snapshot: ExitStack


class ReadAhead:
    """Sends the rows of planned chunks.

    A chunk that is planned and begun ahead is used only if the position, once locked, has exactly
    the version that it was planned for. Versions are random, so that no other state has it.
    """

    def __init__(self, kind: Kind, source: ShopAll, target: BonusDatabase) -> None:
        self.kind = kind
        self.source = source
        self.target = target
        self.second = source.another()
        self.ahead: Begun | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._discard()
        self.second.database.close()

    def plan(self, before: ReceivedSoFar, rows: int) -> ChunkPlan | None:
        """Return the plan of the next chunk: the one begun ahead, if it is for this very state.

        Its rows are being sent. None where there is nothing to do. Raises Forked, ROWS_PURGED.
        """
        version = before.position.version
        if self.ahead is not None:
            planned = self.ahead.plan
            if (planned.before.position.version, planned.rows) == (version, rows):
                # The version says that it is the same state; the totals are known only now.
                planned = replace(planned, before=before)
                self.ahead = replace(self.ahead, plan=planned)
                return planned
            self._discard()
        with ExitStack() as stack:
            stack.enter_context(self.source.snapshot(self.kind))
            self.source.rows.by_index()
            plan = plan_chunk(self.kind, self.source, self.target, before, rows)
            if plan is not None and plan.reading is not None:
                self.ahead = self._begin(plan, plan.reading, self.source, stack)
            return plan

    @contextmanager
    def rows(self, plan: ChunkPlan, reading: Reading) -> Iterator[Sending]:
        """Stream the rows of the plan, within the snapshot that it was made in.

        Asked a second time, it reads the rows again through the first connection.
        """
        begun, self.ahead = self.ahead, None
        if begun is None or begun.plan is not plan:
            with ExitStack() as stack:
                stack.enter_context(self.source.snapshot(self.kind))
                self.source.rows.by_index()
                begun = self._begin(plan, reading, self.source, stack)
        with begun.snapshot:
            yield begun.sending

    def begin_next(self, before: ReceivedSoFar, rows: int) -> None:
        """Plan the chunk after the one under way, and begin to send its rows.

        `before` is what the server will have received then. An error is left for the chunk to find
        when its turn comes.
        """
        with suppress(TransferError, Forked), ExitStack() as stack:
            stack.enter_context(self.second.snapshot(self.kind))
            self.second.rows.wait_for_reader()
            self.second.rows.by_index()
            plan = plan_chunk(self.kind, self.second, self.target, before, rows)
            if plan is not None and plan.reading is not None:
                self.ahead = self._begin(plan, plan.reading, self.second, stack)

    def _begin(self, plan: ChunkPlan, reading: Reading, source: ShopAll, stack: ExitStack) -> Begun:
        sending = Sending(source, source.rows.query(self.kind, reading, plan.rows))
        stack.callback(sending.drop)
        sending.begin()
        return Begun(plan, sending, stack.pop_all())

    def _discard(self) -> None:
        if self.ahead is not None:
            with suppress(TransferError):
                self.ahead.snapshot.close()
            self.ahead = None
