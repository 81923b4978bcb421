"""Our schema in a bonus server's database: positions and rejects."""

from psycopg2 import errors

from transfer.engine.errors import NoRightForSchema
from transfer.engine.postgres.database import Database

# Our tables, if they are missing; the names of the columns never change.
SCHEMA = """\
create schema if not exists datatransfer;
create table if not exists datatransfer.position (
    origin uuid not null,
    kind text not null,
    read_through pg_snapshot not null,
    reading pg_snapshot,
    last_xid xid8,
    last_id bigint,
    rows_applied bigint not null default 0,
    rows_unchanged bigint not null default 0,
    rows_rejected bigint not null default 0,
    amount_applied numeric not null default 0,
    amount_rejected numeric not null default 0,
    purged_rows bigint not null default 0,
    purged_amount numeric not null default 0,
    updated_at timestamptz not null default now(),
    primary key (origin, kind)
);
alter table datatransfer.position
    add column if not exists reader uuid,
    add column if not exists number bigint not null default 0,
    add column if not exists token uuid,
    add column if not exists purge_accepted bigint not null default 0,
    add column if not exists rejects_removed bigint not null default 0;
create table if not exists datatransfer.reject (
    reader uuid not null,
    number bigint not null,
    token uuid not null default gen_random_uuid(),
    origin uuid not null,
    kind text not null,
    xid xid8 not null,
    staging_id bigint not null,
    code text not null,
    sqlstate text,
    constraint_name text,
    payload json not null,
    rejected_at timestamptz not null default now(),
    primary key (reader, number)
);
create index if not exists reject_of_row on datatransfer.reject (origin, kind, staging_id);
"""
# Whether these tables exist. By the catalogue.
COMPLETE = "select bool_and(to_regclass(name) is not null) from unnest(%s) as name"
# Makes the second of two simultaneous first runs wait: both would create the schema.
LOCK = "select pg_advisory_xact_lock(hashtext('datatransfer'))"
# Our role, quoted.
ROLE = "select quote_ident(current_user)"
# The rights that it needs in our schema.
GRANTS = """\
grant usage on schema datatransfer to {role};
grant select, insert, update on datatransfer.position to {role};
grant select, insert, delete on datatransfer.reject to {role};"""
TABLES = ["datatransfer.position", "datatransfer.reject"]


def is_complete(database: Database) -> bool:
    """Whether all of our tables exist."""
    return bool(database.value(COMPLETE, [TABLES]))


def ensure(database: Database) -> None:
    """Creates our schema where it is missing; the caller commits.

    Raises NoRightForSchema with the SQL to run.
    """
    if is_complete(database):
        return
    with database.explained(), database.connection.cursor() as cursor:
        try:
            cursor.execute(LOCK)
            cursor.execute(SCHEMA)
        except errors.InsufficientPrivilege:
            database.connection.rollback()
            raise NoRightForSchema(
                database=database.name,
                statements=SCHEMA + GRANTS.format(role=database.value(ROLE)),
            ) from None
