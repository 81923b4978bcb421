"""How long the rows of a chunk took from their commit to the bonus server.

After a chunk has landed, shop All says how long ago the first of its changesets was staged, by one
clock. All rows of the chunk count as that old; the others were staged later, as a rule, so the
delay is rather too long than too short. It begins with the transaction that staged the row, since
no database keeps when a row was committed.
"""

from contextlib import suppress

from transfer.engine.move.chunk import Chunk
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError

# How long ago a time was, in seconds, by the clock of shop All.
SECONDS_SINCE = """
    select extract(epoch from clock_timestamp() - %s::timestamptz)::double precision
"""


def seconds_taken(chunk: Chunk, source: ShopAll) -> float | None:
    """Return the seconds that the first row of the chunk took; None where that can't be known.

    Nor is it of rows that were staged before the server was docked, or where shop All is gone by
    now: the rows have landed all the same.
    """
    if chunk.oldest is None or chunk.before.place == chunk.before.beginning.place:
        return None
    seconds: float | None = None
    with suppress(TransferError), source.database.transaction(commit=False):
        seconds = source.database.value(SECONDS_SINCE, [chunk.oldest])
    return seconds
