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


def delay(task: TransferTask, chunk: Chunk, source: ShopAll) -> float | None:
    """The seconds that the first row of the chunk took; None where that can't be known.

    Nor is it of a server's first batch, whose rows may have been staged before it was docked.
    """
    if chunk.before.read_through == NOTHING_READ:
        return None
    kind = task.kind_spec
    # The rows have landed. If shop All is gone, the next question fails, too, and the run says so.
    with suppress(TransferError), source.snapshot(kind):
        return source.reader.seconds_since_staged(kind, chunk.before, chunk.after.snapshot)
    return None
