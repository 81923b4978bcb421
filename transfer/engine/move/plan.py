"""Which rows a transfer moves next, and what the position is afterwards."""

from dataclasses import dataclass, replace

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.position import Position, Totals
from transfer.engine.shop_all.batches import Batch
from transfer.engine.shop_all.source import ShopAll

# The rows of a chunk in the order in which they are sent. Sorts at most as many as a chunk has.
IN_SENDING_ORDER = "select * from ({rows}) as judged order by {order}"

Last = tuple[int, int]  # (xid, id) of a staged row


@dataclass(frozen=True)
class ChunkPlan:
    """At most `rows` rows of `batch`, those that follow the position `before`."""

    kind: Kind
    server: str
    before: Position
    batch: Batch
    rows: int
    dry_run: bool

    def query(self, source: ShopAll) -> sql.Composed:
        """SQL: the rows as `source` sees them, in the order in which they are sent.

        Checks first, in the same snapshot, that shop All is still the database that the position
        has read. Rows come in the order of the key of the bonus server's index, since inserting
        into an index in random order takes most of a chunk's time; rows with the same key come in
        the order of staging.
        """
        if not self.dry_run:
            source.identity.check_position(self.kind, self.before, self.server)
            source.log.check(replace(self.before, **self.batch.named))
        source.reader.read_in_order()
        rows = source.reader.chunk_query(self.kind, self.before, self.batch.snapshot, self.rows)
        order = sql.SQL(self.kind.sending_order)
        return sql.SQL(IN_SENDING_ORDER).format(rows=rows, order=order)

    def sends_the_rows_of(self, other: "ChunkPlan") -> bool:
        """Whether both plans begin at the same position and send as many rows."""
        return (self.before.key, self.rows) == (other.before.key, other.rows)

    def after(self, totals: Totals, last: Last | None) -> Position:
        """The position once the rows have been moved.

        `totals` counts the rows, `last` is the last of them in the order of staging. Fewer rows
        than planned are the end of the batch.
        """
        named = replace(
            self.before,
            number=self.batch.number,
            token=self.batch.token or None,
            totals=self.before.totals + totals,
        )
        if last is None or totals.read < self.rows:
            snapshot = self.batch.snapshot
            return replace(named, read_through=snapshot, reading=None, last_xid=None, last_id=None)
        return replace(named, reading=self.batch.snapshot, last_xid=last[0], last_id=last[1])
