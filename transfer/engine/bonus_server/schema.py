"""Our schema in a bonus server's database: what it has received, and what was rejected."""

from dataclasses import dataclass

from psycopg2 import errors

from transfer.causes.ledger import POSITION_INVALID
from transfer.causes.tables import NO_RIGHT_FOR_SCHEMA, RIGHTS_MISSING
from transfer.engine.postgres.database import Database
from transfer.errors import TransferError

# Our tables, if they are missing. They change in the transactions that change the vendor's tables.
SCHEMA = """\
create schema if not exists datatransfer;
-- The server has received every changeset up to this line of the log, but for the exceptions.
create table if not exists datatransfer.position (
    origin uuid not null,
    kind text not null,
    server uuid not null,                 -- drawn at docking: a copy of a server has the same
    number bigint not null,
    mark uuid not null,
    version uuid not null,
    rows_applied bigint not null default 0,
    rows_unchanged bigint not null default 0,
    rows_rejected bigint not null default 0,
    amount_applied numeric not null default 0,
    amount_rejected numeric not null default 0,
    -- What of these the server has not received by the name `server`: see `Position`.
    uncounted_applied bigint not null default 0,
    uncounted_unchanged bigint not null default 0,
    uncounted_rejected bigint not null default 0,
    uncounted_amount_applied numeric not null default 0,
    uncounted_amount_rejected numeric not null default 0,
    began_as text not null,
    began_number bigint not null,         -- up to this line somebody said what it has received
    began_mark uuid not null,
    began_by text not null,
    began_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (origin, kind)
);
-- The changesets of the lines that it has passed, one row for each append and chunk.
create table if not exists datatransfer.receipt (
    origin uuid not null,
    kind text not null,
    last bigint not null,                 -- the number of the last of them
    mark uuid not null,                   -- of each of them
    changesets uuid[] not null,
    rows bigint[] not null,               -- of each of them, with their sums
    amounts numeric[] not null,
    at timestamptz not null default now(),
    primary key (origin, kind, last)
);
-- Changesets of which it has received exactly the rows up to `last`, whatever the position.
create table if not exists datatransfer.exception (
    origin uuid not null,
    kind text not null,
    changeset uuid not null,
    last bigint not null,                 -- 2^63 - 1: all rows; -2^63: none
    skipped boolean not null default false,  -- agreed: it does without the others
    rows bigint,                          -- how many rows were received of it, and their sum
    amount numeric,
    at timestamptz not null default now(),
    primary key (origin, kind, changeset)
);
create index if not exists exception_incomplete on datatransfer.exception (origin, kind)
    where last < 9223372036854775807 and not skipped;
-- Rows that it has received, but whose outcome is not in the vendor's tables.
create table if not exists datatransfer.reject (
    origin uuid not null,
    kind text not null,
    changeset uuid not null,
    "row" bigint not null,
    code text not null,
    sqlstate text,
    constraint_name text,
    payload json,
    effect text,                          -- replaces | reverses | sets, of a row that depends
    root_changeset uuid,
    root_row bigint,
    resolved_by uuid,                     -- null: open, people have to look at it
    rejected_at timestamptz not null default now(),
    changed_in uuid not null,             -- the version of the position that has changed it last
    primary key (origin, kind, changeset, "row")
);
create index if not exists reject_of_root
    on datatransfer.reject (origin, kind, root_changeset, root_row) where root_row is not null;
create index if not exists reject_open on datatransfer.reject (origin, kind)
    where resolved_by is null;
-- Those that people see.
create index if not exists reject_changed on datatransfer.reject (changed_in)
    where resolved_by is null or payload is not null;
-- Closed rejects of rows that may come later, which are then not applied.
create index if not exists reject_before_row on datatransfer.reject (origin, kind, changeset)
    where code in ('taken_back', 'gone');
-- What is in effect of a row if that is not what was staged: the amount, the other values (such as
-- the account), and which row has brought it.
create table if not exists datatransfer.seen (
    origin uuid not null,
    kind text not null,
    changeset uuid not null,
    "row" bigint not null,
    amount numeric not null,
    others json not null,
    by_changeset uuid,                    -- null: nothing is in effect, it was taken back
    by_row bigint,
    primary key (origin, kind, changeset, "row")
);
"""
NAMES = ("position", "receipt", "exception", "reject", "seen")
TABLES = tuple(f"datatransfer.{name}" for name in NAMES)
RIGHTS = ("SELECT", "INSERT", "UPDATE", "DELETE")
# Which of these tables exist; whether each is a table, since the vendor may put a view in its
# place; whether our role may use the schema; and, for each of RIGHTS, whether it has it. By the
# index of the catalogue on names, and by numbers: a name is not looked up for a role without rights
# to the schema, but refused.
FOUND = f"""
    select 'datatransfer.' || relname, relkind = 'r', has_schema_privilege(relnamespace, 'usage'),
           {", ".join(["has_table_privilege(oid, %s)"] * len(RIGHTS))}
      from pg_class
     where relnamespace = (select oid from pg_namespace where nspname = 'datatransfer')
       and relname = any(%s)
     order by relname
"""
# Our role, quoted.
ROLE = "select quote_ident(current_user)"
# The rights that it needs in our schema.
GRANTS = "grant usage on schema datatransfer to {role};\n" + "\n".join(
    f"grant select, insert, update, delete on {table} to {{role}};" for table in TABLES
)


@dataclass(frozen=True)
class Found:
    """Whether all of our tables exist, and what our role lacks to use those that do."""

    is_complete: bool
    missing: list[str]


def find(database: Database) -> Found:
    """Return what is found of our schema. Raises POSITION_INVALID where a table of it is none."""
    rows = database.rows(FOUND, [*RIGHTS, [*NAMES]], most=len(NAMES))
    if others := [name for name, is_table, *_ in rows if not is_table]:
        raise TransferError(POSITION_INVALID, database=database.name, column=", ".join(others))
    missing = [
        f"{right} on {name}"
        for name, _is_table, _may_use, *has in rows
        for right, has_it in zip(RIGHTS, has, strict=True)
        if not has_it
    ]
    if not all(may_use for _name, _is_table, may_use, *_ in rows):
        missing.append("USAGE on datatransfer")
    return Found(len(rows) == len(NAMES), sorted(missing))


def is_complete(database: Database) -> bool:
    """Return whether all of our tables exist. Raises POSITION_INVALID where one is no table."""
    return find(database).is_complete


def check_rights(database: Database, found: Found) -> None:
    """Raise RIGHTS_MISSING where our role may not use our tables, which another one has made."""
    if missing := found.missing:
        raise TransferError(
            RIGHTS_MISSING,
            party=database.party,
            user=database.value("select current_user"),
            missing=", ".join(missing),
            statements=GRANTS.format(role=database.value(ROLE)),
        )


def ensure(database: Database) -> None:
    """Create our schema where it is missing; the caller commits.

    Of two first runs at once the second one waits at the catalogue's unique index until the first
    has committed, is refused there, and finds the tables that the first one has made.

    Raises NO_RIGHT_FOR_SCHEMA or RIGHTS_MISSING with the SQL to run; POSITION_INVALID.
    """
    found = find(database)
    if found.is_complete:
        check_rights(database, found)
        return
    with database.explained(), database.connection.cursor() as cursor:
        try:
            cursor.execute(SCHEMA)
        except errors.InsufficientPrivilege:
            database.connection.rollback()
            raise TransferError(
                NO_RIGHT_FOR_SCHEMA,
                database=database.name,
                statements=SCHEMA + GRANTS.format(role=database.value(ROLE)),
            ) from None
        except errors.UniqueViolation:
            database.connection.rollback()
            found = find(database)
            if not found.is_complete:
                raise
            check_rights(database, found)
