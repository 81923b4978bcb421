"""Notes who wrote the staged rows, once per transaction, for the trace."""

from collections.abc import Collection

from psycopg2 import sql

from transfer.engine.kind import Kind
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

# Whether writers are noted. By the catalogue.
EXISTS = "select to_regclass('datatransfer.writer') is not null"

# Removes notes of transactions that are older than some days and have no row in any staging table.
# Reads the notes; looks up the rows by the index on (xid, id), or reads the tables.
FORGET_WRITERS = """
    delete from datatransfer.writer as note
     where at < now() - make_interval(days => %s) and {no_row}
"""
# Whether a table has no row of the transaction.
HAS_NO_ROW = "not exists (select from {table} as row where row.xid = note.xid)"


class WriterLog:
    """The notes of which session wrote the rows of each transaction."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def exists(self) -> bool:
        """Whether writers are noted: not yet where a former version made our tables."""
        return bool(self.database.value(EXISTS))

    def forget(self, kinds: Collection[Kind], days: int) -> None:
        """Removes notes older than `days` of transactions whose rows are gone."""
        if not self.exists():
            return
        has_no_row = sql.SQL(HAS_NO_ROW)
        of_tables = [has_no_row.format(table=kind.staging_table) for kind in kinds]
        forget = sql.SQL(FORGET_WRITERS).format(no_row=sql.SQL(" and ").join(of_tables))
        self.database.execute(forget, [days])
