"""Who has written the staged rows: noted once a transaction, for the trace. No Django."""

from psycopg2 import sql

from transfer.engine.kinds import KINDS, Kind
from transfer.engine.shop_all.indexes import Indexes

SCHEMA = """
create table if not exists datatransfer.writer (
    origin uuid not null,
    xid xid8 not null,
    name text not null,
    program text not null,
    at timestamptz not null default now(),
    primary key (xid, origin)
);
-- Writers have no rights to our tables, and a transaction is noted once, whatever it writes.
create or replace function datatransfer.note_writer() returns trigger language plpgsql
    security definer set search_path = '' as $$
begin
    insert into datatransfer.writer (origin, xid, name, program)
        select origin, pg_current_xact_id(), session_user, current_setting('application_name')
          from datatransfer.origin
            on conflict do nothing;
    perform set_config('datatransfer.noted', pg_current_xact_id()::text, true);
    return null;
end $$;
"""

# Who writes is noted at the end of a transaction's first statement, for nothing a row.
WRITER_TRIGGER = """
    select from pg_trigger
     where tgrelid = to_regclass(quote_ident(%s)) and tgname = 'datatransfer_writer'
"""
NOTE_WRITERS = """
    create trigger datatransfer_writer after insert on {table} for each statement
      when (current_setting('datatransfer.noted', true)
            is distinct from pg_current_xact_id()::text)
      execute function datatransfer.note_writer()
"""
# Nobody asks who wrote rows that are gone.
FORGET_WRITERS = """
    delete from datatransfer.writer as note
     where at < now() - make_interval(days => %s) and {}
"""


class Writers(Indexes):
    def note_writers(self, kind: Kind) -> bool:
        """Begins to note who writes to the table; returns whether nobody had."""
        if self.rows(WRITER_TRIGGER, [kind.staging]):
            return False
        self.execute(sql.SQL(NOTE_WRITERS).format(table=kind.staging_table))
        return True

    def forget_writers(self, days: int) -> None:
        """Removes what was noted longer than `days` ago of transactions whose rows are gone."""
        if not self.notes_sources():
            return
        gone = [
            sql.SQL("not exists (select from {} as row where row.xid = note.xid)").format(
                kind.staging_table
            )
            for kind in KINDS.values()
        ]
        self.execute(sql.SQL(FORGET_WRITERS).format(sql.SQL(" and ").join(gone)), [days])
