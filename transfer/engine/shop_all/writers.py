"""Notes who wrote the staged rows, once per transaction, for the trace. No Django."""

from collections.abc import Collection

from psycopg2 import sql

from transfer.engine.kinds import Kind
from transfer.engine.postgres.database import Database

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


class WriterLog:
    """The notes of which session wrote the rows of each transaction."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def exists(self) -> bool:
        """Whether writers are noted: not yet where a former version made our tables."""
        return bool(self.database.value("select to_regclass('datatransfer.writer') is not null"))

    def forget(self, kinds: Collection[Kind], days: int) -> None:
        """Removes notes older than `days` of transactions whose rows are gone."""
        if not self.exists():
            return
        gone = [
            sql.SQL("not exists (select from {} as row where row.xid = note.xid)").format(
                kind.staging_table
            )
            for kind in kinds
        ]
        self.database.execute(sql.SQL(FORGET_WRITERS).format(sql.SQL(" and ").join(gone)), [days])
