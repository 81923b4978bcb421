"""SQL: the tables of the log of batches in shop All, and whether they can be used."""

SCHEMA = """
-- What each reader (a bonus server and a kind of transfer) has begun to read, by its snapshot.
create table if not exists datatransfer.batch (
    reader uuid not null,
    number bigint not null,
    token uuid not null,
    kind text not null,
    server text not null,
    snapshot pg_snapshot not null default pg_current_snapshot(),
    xid xid8 not null default pg_current_xact_id(),
    at timestamptz not null default now(),
    primary key (reader, number),
    check (pg_snapshot_xmax(snapshot) <= xid)
);
-- Of which history: what a rebase that died has written there tells of one that never began. Null
-- in batches from before that was noted.
alter table datatransfer.batch add column if not exists origin uuid;
-- From which table; null in batches from before that could be another than ours.
alter table datatransfer.batch add column if not exists staging text;
-- Batches that a run has looked for in vain: one that comes back (a number was reached again, after
-- pg_resetwal) proves nothing any more.
create table if not exists datatransfer.missed (token uuid primary key);
-- Readers that an installation has given up: a server that it has undocked, or that is gone. What
-- such a reader began later counts again: it was docked elsewhere.
create table if not exists datatransfer.retired_reader (
    reader uuid primary key,
    at timestamptz not null default now()
);
"""

# The first of these tables that is missing, or null, and whether the server is a replica. By the
# catalogue.
IS_READY = """
    select min(name) filter (where to_regclass(name) is null), pg_is_in_recovery()
      from unnest(%s) as name
"""
TABLES = [
    *("datatransfer.batch", "datatransfer.purge_note", "datatransfer.restored"),
    "datatransfer.retired_reader",
    *("datatransfer.rebase", "datatransfer.renumbered_transaction", "datatransfer.rebased_batch"),
]
