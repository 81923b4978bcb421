"""How long the rows of a chunk took from their commit to the bonus server.

After a chunk has landed, shop All says how long ago its first row was staged: one look-up by
index for a chunk of any size, by one clock. All rows of the chunk count as that old; the
others were staged later, as a rule, so the delay is rather too long than too short. It begins
with the transaction that staged the row, since no database keeps when a row was committed.
"""

from contextlib import suppress

from transfer.engine.move.chunk import Chunk
from transfer.engine.position import NOTHING_READ
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.models import TransferTask


def ask_after(chunk: Chunk, task: TransferTask, source: ShopAll) -> tuple[float | None, int | None]:
    """What shop All says of a chunk that has landed: its delay, and how many rows wait now.

    How many wait is None but for the last chunk of a batch, since counting may take long; both are
    None where shop All does not answer.
    """
    seconds = waiting = None
    # The rows have landed. If shop All is gone, the next question fails, too, and the run says so.
    with suppress(TransferError), source.snapshot(task.kind_spec):
        source.reader.read_in_order()
        seconds = delay(task, chunk, source)
        if chunk.after.reading is None:
            waiting = source.reader.count_waiting(task.kind_spec, chunk.after)
    return seconds, waiting


def delay(task: TransferTask, chunk: Chunk, source: ShopAll) -> float | None:
    """The seconds that the first row of the chunk took; None where that can't be known.

    Nor is it of a server's first batch, whose rows may have been staged before it was docked. The
    caller has begun a snapshot that reads in order.
    """
    if chunk.before.read_through == NOTHING_READ:
        return None
    return source.reader.seconds_since_staged(task.kind_spec, chunk.before, chunk.after.snapshot)
