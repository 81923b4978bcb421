"""Resets databases to a former state in milliseconds, for tests that start again many times."""

from psycopg2.extensions import connection as Connection

from tests.databases import query, run

# Tables of Django's own never change in these tests, and are left alone; so is our identity of shop
# All, which tells by who wrote it that the database was restored.
REMEMBER = """
create schema original;
create table original.tables as
    select n.nspname as schema, c.relname as name, format('%I.%I', n.nspname, c.relname) as place,
           format('original.%I', n.nspname || '.' || c.relname) as copy,
           (select string_agg(quote_ident(attname), ', ') from pg_attribute
             where attrelid = c.oid and attnum > 0 and not attisdropped and attgenerated = '')
               as columns
      from pg_class c join pg_namespace n on n.oid = relnamespace
     where relkind = 'r' and n.nspname in ('public', 'datatransfer')
       and relname !~ '^(django|auth)_' and relname <> 'origin';
do $$ declare t record; begin
    for t in select * from original.tables loop
        execute format('create table %s as table %s', t.copy, t.place);
    end loop;
end $$;
create procedure original.reset() language plpgsql as $$ declare t record; begin
    set local session_replication_role = replica;
    for t in select * from original.tables loop
        execute format('delete from %s', t.place);
        execute format('insert into %s (%s) overriding system value select %2$s from %s',
                       t.place, t.columns, t.copy);
    end loop;
    if not exists (select from original.tables where schema = 'datatransfer') then
        drop schema if exists datatransfer cascade;
    end if;
end $$;
"""


def remember(dsn: str) -> None:
    query(dsn, REMEMBER)


def reset(connection: Connection) -> None:
    """What was written since `remember` is gone."""
    run(connection, "call original.reset()")
