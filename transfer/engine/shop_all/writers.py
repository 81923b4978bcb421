"""Notes who wrote the staged rows, once per transaction, for the trace. No Django."""

from psycopg2 import sql

from transfer.engine.kinds import KINDS
from transfer.engine.shop_all.indexes import Indexes

# The columns get their values from defaults, never from the writer: see `guards.RIGHTS`.
SCHEMA = """
create table if not exists datatransfer.writer (
    origin uuid not null,
    xid xid8 not null,
    name text not null,
    program text not null,
    at timestamptz not null default now(),
    primary key (xid, origin)
);
"""

# Rows that were purged need no note of their writer.
FORGET_WRITERS = """
    delete from datatransfer.writer as note
     where at < now() - make_interval(days => %s) and {}
"""


class Writers(Indexes):
    def forget_writers(self, days: int) -> None:
        """Removes notes older than `days` of transactions whose rows are gone."""
        if not self.notes_sources():
            return
        gone = [
            sql.SQL("not exists (select from {} as row where row.xid = note.xid)").format(
                kind.staging_table
            )
            for kind in KINDS.values()
        ]
        self.execute(sql.SQL(FORGET_WRITERS).format(sql.SQL(" and ").join(gone)), [days])
