"""Moves the rows of the next chunk to the bonus server while it applies the one before.

Each database has a second session for this. In shop All it reads, checks and sorts the rows; in the
bonus server's database it receives them in the temporary tables of its own transaction, which has
locked nothing yet. When the turn of the chunk comes, the transfer goes on in that session: it locks
the position, and the rows are there.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Self

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.move.plan import ChunkPlan, Forked, ReceivedSoFar, plan_chunk
from transfer.engine.move.stream import (
    Arrived,
    Sending,
    SourceFailed,
    TextUnreadable,
    create_tables,
    receive_rows,
)
from transfer.engine.shop_all.rows import Reading
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError

# Begins a transaction that waits for its turn. Its later statements see what was committed
# meanwhile, which is the chunk before, also where the vendor's default is another isolation level.
BEGIN = "set transaction isolation level read committed"
# Asks the session whether it still is there.
PROBE = "select"


class Receiving(threading.Thread):
    """The half of a stream that writes to the bonus server, for a chunk begun ahead, in a thread.

    `has_session`: whether the server has opened the second session. `arrived`: None until all rows
    have arrived, and are counted.
    """

    def __init__(
        self, kind: Kind, reading: Reading, sending: Sending, target: BonusDatabase
    ) -> None:
        super().__init__(name="target", daemon=True)
        self.kind = kind
        self.reading = reading
        self.sending = sending
        self.target = target
        self.has_session = False
        self.arrived: Arrived | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.target.database.execute(BEGIN)
            self.has_session = True
            self.target.database.may_wait()
            create_tables(self.kind, self.target)
            self.arrived = receive_rows(self.kind, self.reading, self.sending, self.target)
        except BaseException as error:
            self.error = error
            self.sending.abandon()

    def has_arrived(self) -> bool:
        """Wait until all rows have arrived, and return whether they have, and are still there.

        Raises an error that is not one of the two databases.
        """
        self.join()
        if isinstance(self.error, TransferError | SourceFailed | TextUnreadable):
            return False
        if self.error is not None:
            raise self.error
        try:
            self.target.database.execute(PROBE)
        except TransferError:
            return False
        return True

    def abandon(self) -> None:
        """Break off what is under way, and undo it."""
        if self.is_alive():
            self.sending.abandon()
            self.target.database.hang_up()
            self.join()
        self.target.database.close()


@dataclass(frozen=True)
class Begun:
    """A plan whose rows are being sent, and the snapshot of shop All that they are read in.

    `receiving`: what receives them; None if the chunk itself does.
    """

    plan: ChunkPlan
    sending: Sending
    snapshot: ExitStack
    receiving: Receiving | None = None


class ReadAhead:
    """Sends the rows of planned chunks, and moves those of the next chunk ahead.

    A chunk begun ahead is used only if all of its rows have arrived, and the position, once locked,
    has exactly the version that it was planned for. Versions are random, so that no other state has
    it. Else it is forgotten: the chunk is planned again, and fails by itself if the error is still
    there.
    """

    def __init__(self, kind: Kind, source: ShopAll, target: BonusDatabase) -> None:
        self.kind = kind
        self.source = source
        self.target = target
        self.second = source.another()
        self.second_target = target.another()
        self.is_allowed = True  # False once the server has refused a second session
        self.begun: Begun | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._forget()
        self.second.database.close()
        self.second_target.database.close()

    def take_session(self) -> None:
        """Let the target go on in the session that has received the next rows, if one has.

        The session that it had until now receives the rows of the chunk after that. The caller has
        ended the transaction of the target.
        """
        if self.begun is None or self.begun.receiving is None:
            return
        if self.begun.receiving.has_arrived():
            self.target.database.swap(self.second_target.database)
        else:
            self.is_allowed = self.begun.receiving.has_session
            self._forget()

    def plan(self, before: ReceivedSoFar, rows: int) -> ChunkPlan | None:
        """Return the plan of the next chunk: the one begun ahead, if it is for this very state.

        Its rows are being sent. None where there is nothing to do. Raises Forked, ROWS_PURGED.
        """
        version = before.position.version
        if self.begun is not None:
            planned = self.begun.plan
            if (planned.before.position.version, planned.rows) == (version, rows):
                # The version says that it is the same state; the totals are known only now.
                planned = replace(planned, before=before)
                self.begun = replace(self.begun, plan=planned)
                return planned
            self._end_snapshot()
        with ExitStack() as stack:
            stack.enter_context(self.source.snapshot(self.kind))
            self.source.rows.by_index()
            plan = plan_chunk(self.kind, self.source, self.target, before, rows)
            if plan is not None and plan.reading is not None:
                self.begun = self._begin(plan, plan.reading, self.source, stack)
            return plan

    def arrived(self, plan: ChunkPlan) -> Arrived | None:
        """Return which rows of the plan are in `incoming` already; None if they are to come."""
        if self.begun is None or self.begun.plan is not plan or self.begun.receiving is None:
            return None
        return self.begun.receiving.arrived

    @contextmanager
    def rows(self, plan: ChunkPlan, reading: Reading) -> Iterator[Sending]:
        """Stream the rows of the plan, within the snapshot that it was made in.

        Asked a second time, it reads the rows again through the first connection.
        """
        begun, self.begun = self.begun, None
        if begun is None or begun.plan is not plan:
            with ExitStack() as stack:
                stack.enter_context(self.source.snapshot(self.kind))
                self.source.rows.by_index()
                begun = self._begin(plan, reading, self.source, stack)
        with begun.snapshot:
            yield begun.sending

    def begin_next(self, before: ReceivedSoFar, rows: int) -> None:
        """Plan the chunk after the one under way, and begin to send and to receive its rows.

        `before` is what the server will have received then. An error is left for the chunk to find
        when its turn comes. After the server has refused a second session, nothing is begun.
        """
        if not self.is_allowed:
            return
        with suppress(TransferError, Forked), ExitStack() as stack:
            stack.enter_context(self.second.snapshot(self.kind))
            self.second.database.may_wait()
            self.second.rows.by_index()
            plan = plan_chunk(self.kind, self.second, self.target, before, rows)
            if plan is not None and plan.reading is not None:
                begun = self._begin(plan, plan.reading, self.second, stack)
                target = self.second_target
                receiving = Receiving(self.kind, plan.reading, begun.sending, target)
                self.begun = replace(begun, receiving=receiving)
                receiving.start()

    def _begin(self, plan: ChunkPlan, reading: Reading, source: ShopAll, stack: ExitStack) -> Begun:
        sending = Sending(source, source.rows.query(self.kind, reading, plan.rows))
        stack.callback(sending.drop)
        sending.begin()
        return Begun(plan, sending, stack.pop_all())

    def _forget(self) -> None:
        """Break off what was begun ahead, and undo it."""
        if self.begun is not None and self.begun.receiving is not None:
            self.begun.receiving.abandon()
        self._end_snapshot()

    def _end_snapshot(self) -> None:
        """End what reads in shop All; what has arrived of it is dropped with the next chunk."""
        if self.begun is not None:
            with suppress(TransferError):
                self.begun.snapshot.close()
            self.begun = None
