"""Notes in shop All that it was restored from a copy: they stop every transfer from it.

A restore is a fact about shop All, not about one position. Where the log lacks a batch that our own
history has recorded, a bonus server and our own database agree that shop All had it once. Then
other flows must not go on: what they move since the restore makes it harder to tell later which
rows are new. Where only a bonus server claims the batch, it may be an old copy itself,
and no note is made.

A note names the origin that shop All had then. A rebase gives it a new one, so that the note says
nothing any more; an administrator who knows better removes it.
"""

from collections.abc import Collection

from transfer.engine.errors import ShopAllRestored
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.records import RecordedBatch

SCHEMA = """
-- Batches of this history of the database that it lacks, though a bonus server and our own history
-- have them: it was restored, and no transfer goes on until it is rebased.
create table if not exists datatransfer.restored (
    origin uuid not null,
    reader uuid not null,
    number bigint not null,
    kind text not null,
    server text not null,
    at timestamptz not null default now(),
    primary key (origin, reader)
);
-- Workers of the version before know nothing of these notes. They read no row without a batch, so
-- that they stop, too, once they can't write one. A rebase writes its batches under a new origin.
do $$ declare account text; begin
    if not exists (select from pg_trigger where tgname = 'datatransfer_whole'
                      and tgrelid = 'datatransfer.batch'::regclass) then
        create or replace function datatransfer.refuse_batch() returns trigger language plpgsql
        as $refuse$
        begin
            if exists (select from datatransfer.restored as note
                        where note.origin operator(pg_catalog.=) new.origin) then
                raise exception 'it was restored from a copy: run manage.py rebase_shop_all';
            end if;
            return new;
        end
        $refuse$;
        create trigger datatransfer_whole before insert on datatransfer.batch
            for each row execute function datatransfer.refuse_batch();
        for account in select distinct pg_get_userbyid(grantee)
              from pg_class cross join aclexplode(relacl)
             where pg_class.oid = 'datatransfer.batch'::regclass and privilege_type = 'INSERT'
               and grantee <> 0
        loop
            execute format('grant select, insert, delete on datatransfer.restored to %I', account);
        end loop;
    end if;
end $$;
"""

# Notes a missing batch. A batch that was missed already has stopped its own flow, and nothing since
# proves more: a flow that was refused before there were notes stops no other. By the primary keys.
ADD = """
    insert into datatransfer.restored (origin, reader, number, kind, server)
    select %s, %s, %s, %s, %s
     where not exists (select from datatransfer.missed where token = %s)
        on conflict do nothing
"""
# The oldest note of an origin: its batch, server and kind. By the primary key.
FIRST = """
    select number, server, kind from datatransfer.restored where origin = %s order by at limit 1
"""
# The batches that the notes of an origin name: reader and number. By the primary key.
MISSING = "select reader::text, number from datatransfer.restored where origin = %s"
# Removes the notes of an origin. By the primary key.
REMOVE = "delete from datatransfer.restored where origin = %s"
# Removes those of some readers. By the primary key.
REMOVE_OF = "delete from datatransfer.restored where origin = %s and reader = any(%s::uuid[])"


class RestoreNotes:
    """Writes, reads and removes the notes."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, origin: str, batch: RecordedBatch) -> None:
        """Notes under the identity `origin` that the batch is gone; comes before
        `BatchLog.note_missed`.
        """
        values = (origin, batch.reader, batch.number, batch.kind, batch.server)
        self._write(ADD, [*values, batch.token])

    def remove(self, origin: str) -> None:
        """Ends the stop of all transfers: the administrator knows that there was no restore."""
        self._write(REMOVE, [origin])

    def remove_of(self, origin: str, readers: Collection[str]) -> None:
        """Removes what the batches of these readers show: their server was restored, too."""
        self._write(REMOVE_OF, [origin, [*readers]])

    def _write(self, statement: str, values: list[object]) -> None:
        with self.database.explained():
            self.database.connection.set_session(isolation_level="READ COMMITTED", readonly=False)
        with self.database.transaction():
            self.database.execute(statement, values)

    def exist(self, origin: str) -> bool:
        """Whether this database is known to have been restored, and not rebased since."""
        return bool(self.database.rows(FIRST, [origin]))

    def missing(self, origin: str) -> list[tuple[str, int]]:
        """Reader and number of the batches that this database is known to lack."""
        return [(reader, number) for reader, number in self.database.rows(MISSING, [origin])]

    def check(self, origin: str) -> None:
        """Raises ShopAllRestored."""
        for number, server, kind in self.database.rows(FIRST, [origin]):
            raise ShopAllRestored(number=number, server=server, kind=kind)
