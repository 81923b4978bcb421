"""Our own tables in shop All, in the schema `datatransfer`; our columns of the staging tables."""

# Our columns of the staging tables, whose defaults give each row its name: writers do nothing.
# Column → how it is created. `id` is only made where the table has no column of that name. It tells
# rows of one transaction apart, so it may have gaps: sessions take 32 numbers at a time, which
# saves writers about a twentieth.
OURS = {
    "id": "bigint generated always as identity (cache 32)",
    "line": "bigint",
    "xid": "xid8 not null default pg_current_xact_id()",
    "started": "timestamptz not null default now()",
    "staged_by": "text not null default session_user",
    "changes": "jsonb",
}
# Column → the types that it may have, as `format_type` writes them.
TYPES = {
    "id": frozenset({"bigint", "integer", "smallint"}),
    "line": frozenset({"bigint"}),
    "xid": frozenset({"xid8"}),
    "started": frozenset({"timestamp with time zone"}),
    "staged_by": frozenset({"text"}),
    "changes": frozenset({"jsonb"}),
}
NOT_NULL = ("id", "xid", "started", "staged_by")

# Defaults that writers rely on: column → the expression, as `pg_get_expr` writes it.
DEFAULTS = {
    "xid": "pg_current_xact_id()",
    "started": "now()",
    "staged_by": "SESSION_USER",
}

SCHEMA = """
create schema if not exists datatransfer;
"""

# Which chain this shop All belongs to. `name_key` makes the names of loads (see `names.py`): it is
# in every copy of shop All and in no vendor's database, so nobody there can guess a PIN code from a
# name.
ORIGIN = """
create table if not exists datatransfer.origin (
    one boolean primary key default true check (one),
    origin uuid not null default gen_random_uuid(),
    name_key bytea not null
        default uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()),
    made_at timestamptz not null default now()
);
insert into datatransfer.origin (one) values (true) on conflict do nothing;
"""

# One row for each kind. Who adds lines to the log of a kind locks this row.
HEAD = """
create table if not exists datatransfer.head (
    kind text primary key,
    staging text not null,             -- the table whose changesets are in the log
    number bigint not null default 0,  -- of the last line
    seen pg_snapshot,                  -- every row that it sees is in the log: a hint where to look
    seen_in text,                      -- in which run of which database: see `log_writer.py`
    looked_at timestamptz,             -- when all rows were looked at
    removed bigint not null default 0  -- the last line whose lifetime has ended: see `lifetime.py`
);
"""

# The changesets of each kind, numbered in the order in which they became visible.
LOG = """
create table if not exists datatransfer.log (
    kind text not null,
    number bigint not null,
    mark uuid not null,                   -- drawn at random by each append
    changeset uuid not null,
    xid xid8,                             -- (xid, started): its rows. Null: a line without rows
    started timestamptz,
    staged_by text,
    appended_at timestamptz not null default now(),
    rows bigint not null,
    amount numeric not null,              -- of finite amounts, without rows that set or reverse
    rows_to bigint not null,              -- sums over all lines up to this one
    amount_to numeric not null,
    gone bigint not null default 0,       -- rows that were deleted by hand: nobody waits for them
    gone_amount numeric not null default 0,
    purged bigint not null default 0,     -- rows that a purge has removed
    withdrawn boolean not null default false,
    withdrawn_by uuid,                    -- the changeset of the undo
    depends boolean not null default false,  -- it has rows in `dependent`
    confirmed_by uuid,                    -- the installation that has confirmed this database
    primary key (kind, number),
    unique (kind, changeset),
    unique (kind, xid, started)
);
create index if not exists log_confirmed on datatransfer.log (kind, number)
    where confirmed_by is not null;
create index if not exists log_depends on datatransfer.log (kind, number) where depends;
create index if not exists log_not_as_staged on datatransfer.log (kind, number)
    where gone > 0 or withdrawn;
create index if not exists log_unpurged on datatransfer.log (kind, number)
    where xid is not null and purged + gone < rows;
create index if not exists log_emptied on datatransfer.log (kind, number)
    where xid is not null and purged + gone >= rows;
"""

# Changesets of our own, each written in the transaction that stages its rows. Its changeset is made
# of what it contains, so a load that is repeated after a restore has the same one.
LOAD = """
create table if not exists datatransfer.load (
    changeset uuid primary key,
    kind text not null,
    xid xid8 not null default pg_current_xact_id(),
    started timestamptz not null default now(),
    rows bigint not null,
    call uuid unique,                     -- made of the key of a call of the API
    undoes uuid,                          -- the changeset that this one takes back
    staged_for text not null default '',  -- who has loaded it
    unique (kind, xid, started)
);
create index if not exists load_undoes on datatransfer.load (undoes) where undoes is not null;
"""

# Rows that depend on another one (`of_…`), and the row at the end of that chain, which depends on
# nothing (`root_…`). They apply instead of it (replaces), take it back (reverses), or bring its
# amount to another one (sets). `first` is the root's amount as it was staged. A decision about a
# changed row (decided) is here, too: no row has that changeset, see `changes.py`.
DEPENDENT = """
create table if not exists datatransfer.dependent (
    kind text not null,
    changeset uuid not null,
    "row" bigint not null,
    effect text not null check (effect in ('replaces', 'reverses', 'sets', 'decided')),
    of_changeset uuid not null,
    of_row bigint not null,
    root_changeset uuid not null,
    root_row bigint not null,
    first numeric,
    primary key (kind, changeset, "row")
);
create index if not exists dependent_root
    on datatransfer.dependent (kind, root_changeset, root_row);
create index if not exists dependent_of on datatransfer.dependent (kind, of_changeset, of_row);
"""

# Who reads from this shop All, for purges: the first line of which a docked server of that
# installation still needs a row.
INSTALLATION = """
create table if not exists datatransfer.installation (
    id uuid not null,
    kind text not null,
    name text not null,
    needs_from bigint not null,
    mark uuid not null,                   -- of the line before it
    at timestamptz not null default now(),
    primary key (id, kind)
);
"""

# Copies of what our own database keeps for ever, of each installation: see `kept.py`.
KEPT = """
create table if not exists datatransfer.kept (
    installation uuid not null,
    what text not null,                   -- statement, log_day or server_day
    name text collate "C" not null,
    content text not null,                -- JSON
    kept_at timestamptz not null default now(),
    primary key (installation, what, name)
);
"""

TABLES = ("origin", "head", "log", "load", "dependent", "installation", "kept")
CREATE = "".join([SCHEMA, ORIGIN, HEAD, LOG, LOAD, DEPENDENT, INSTALLATION, KEPT])

# Adds the row of a kind. A log without lines may become that of another table.
ADD_HEAD = """
    insert into datatransfer.head (kind, staging) values ({kind}, {staging})
        on conflict (kind) do update set staging = excluded.staging
     where head.number = 0 and head.staging <> excluded.staging
"""
# SQL over (xid, started): the changeset of a transaction of a writer. Both numbers in full, so two
# transactions never have the same one.
PACKED = """(lpad(to_hex({of}.xid::text::bigint), 16, '0')
    || lpad(to_hex((extract(epoch from {of}.started) * 1000000)::bigint), 16, '0'))::uuid"""


def packed(of: str) -> str:
    """Return the SQL of the name that the changeset of a row of this alias has by itself."""
    return PACKED.format(of=of)


# The names of our tables that are missing. By the catalogue.
MISSING = """
    select string_agg('datatransfer.' || name, ', ' order by name) from unnest(%s::text[]) as name
     where to_regclass('datatransfer.' || name) is null
"""
# A row if the schema has a table of version 0.1.0.
OF_0_1_0 = "select from pg_class where oid = to_regclass('datatransfer.batch')"
