"""Our own tables in shop All, in the schema `datatransfer`; our columns of the staging tables, and
the triggers that protect them.

The triggers keep the names of rows as the defaults give them. A writer is any role that may insert
into a staging table. It must not choose the name of a row (`xid`, `started`, `line`, `staged_by`,
`id` of an existing row), nor what we note of changes. Row triggers refuse other values than the
defaults, and an update of them; they replace nothing, since a row that comes with its name, such as
from a dump, may be right. Why a writer gains nothing by them:

- The functions run with the rights of the writer: none is SECURITY DEFINER.
- Their bodies find nothing by `search_path`, which a writer sets: functions, operators and types
  are named with their schema. Conditions of triggers were resolved when they were made.
- They have no rights on our tables, and need none.

They are enabled always, also for sessions that replicate, and their names come last in the order in
which triggers fire. A row that gets in all the same (by a superuser who disables them) is found,
since the log looks at rows and not at notes about them.
"""

import re
from dataclasses import dataclass

from psycopg2 import sql

from transfer.engine.kind import Kind

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

# Which chain this shop All belongs to. `name_key` makes the names of loads (see `loads.py`): it is
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


# What a writer reads. It names no value of the row.
REFUSE_NAMES = """
begin
    raise exception using
        errcode = 'restrict_violation',
        message = pg_catalog.format(
            'the columns xid, started, line, staged_by and changes of %s are not for writers,'
            ' nor is a changed id', tg_table_name),
        hint = 'Leave these columns out: their defaults fill them in.';
end
"""
# Keeps the values of a row before it is changed by a later transaction than the one that staged it.
# `changes` gets {"first": the values as they were staged, "at": when they were last changed}. The
# arguments are the columns of the values that a transfer reads; after an empty one come secrets,
# whose values are never kept, and which may be emptied without that being a change.
NOTE_CHANGES = """
declare
    before pg_catalog.jsonb := pg_catalog.to_jsonb(old);
    after pg_catalog.jsonb := pg_catalog.to_jsonb(new);
    first pg_catalog.jsonb := coalesce(old.changes operator(pg_catalog.->) 'first', '{}');
    name pg_catalog.text;
    is_secret pg_catalog.bool := false;
    is_changed pg_catalog.bool := false;
begin
    if old.xid operator(pg_catalog.=) pg_catalog.pg_current_xact_id() then
        return new;
    end if;
    foreach name in array tg_argv loop
        if name operator(pg_catalog.=) '' then
            is_secret := true;
        elsif is_secret and coalesce(after operator(pg_catalog.->>) name, '')
                            operator(pg_catalog.=) '' then
            continue;
        elsif (before operator(pg_catalog.->) name)
              operator(pg_catalog.<>) (after operator(pg_catalog.->) name) then
            is_changed := true;
            if not is_secret and not first operator(pg_catalog.?) name then
                first := first operator(pg_catalog.||)
                    pg_catalog.jsonb_build_object(name, before operator(pg_catalog.->) name);
            end if;
        end if;
    end loop;
    if is_changed then
        new.changes := pg_catalog.jsonb_build_object(
            'first', first, 'at', pg_catalog.clock_timestamp());
    end if;
    return new;
end
"""
FUNCTIONS = {"refuse_names": REFUSE_NAMES, "note_changes": NOTE_CHANGES}
CREATE_FUNCTIONS = "\n".join(
    f"create or replace function datatransfer.{name}() returns trigger language plpgsql as "
    f"$${body}$$;"
    for name, body in FUNCTIONS.items()
)

# Makes a trigger in place of an earlier one, and lets it fire in sessions that replicate, too.
CREATE_TRIGGER = """
create or replace trigger {name} before {event} on {{table}} for each row {when}
    execute function datatransfer.{function}({quoted});
alter table {{table}} enable always trigger {name};"""

# Our own role alone may give a row its line: it says so by a setting that ends with the
# transaction. A writer who sets it, too, can only name rows of its own transaction.
MAY_SET_LINE = (
    "pg_catalog.current_setting('datatransfer.stages_lines', true) is distinct from 'yes'"
)

# Of pg_trigger.tgtype: 1 each row, 2 before, 4 insert, 16 update (catalog/pg_trigger.h).
BEFORE_INSERT, BEFORE_UPDATE = 1 + 2 + 4, 1 + 2 + 16


@dataclass(frozen=True)
class Trigger:
    name: str
    event: str
    function: str
    condition: str = ""
    arguments: tuple[str, ...] = ()

    @property
    def quoted(self) -> str:
        """The arguments as PostgreSQL writes them."""
        return ", ".join("'" + one.replace("'", "''") + "'" for one in self.arguments)

    def as_found(self) -> tuple[object, ...]:
        """Return the row of `rights.FOUND_TRIGGERS` that this trigger has."""
        type_ = BEFORE_INSERT if self.event == "insert" else BEFORE_UPDATE
        return (self.name, type_, "A", self.function, plain(self.condition), self.quoted, True)

    def create(self, table: sql.Composable) -> sql.Composed:
        """Return the SQL that makes the trigger. Its condition costs usual rows next to nothing."""
        when = f"when ({self.condition})" if self.condition else ""
        quoted = self.quoted.replace("{", "{{").replace("}", "}}")
        statement = CREATE_TRIGGER.format(
            name=self.name, event=self.event, when=when, function=self.function, quoted=quoted
        )
        return sql.SQL(statement.strip()).format(table=table)


NAMES = (
    Trigger(
        "zz_datatransfer_1_insert",
        "insert",
        "refuse_names",
        condition="new.xid is distinct from pg_catalog.pg_current_xact_id()"
        " or new.started is distinct from pg_catalog.now()"
        " or new.staged_by is distinct from session_user"
        " or new.changes is not null"
        f" or new.line is not null and {MAY_SET_LINE}",
    ),
    Trigger(
        "zz_datatransfer_1_update",
        "update",
        "refuse_names",
        condition="new.xid is distinct from old.xid or new.started is distinct from old.started"
        " or new.line is distinct from old.line or new.id is distinct from old.id"
        " or new.staged_by is distinct from old.staged_by"
        " or new.changes is distinct from old.changes",
    ),
)


def triggers_of(kind: Kind) -> tuple[Trigger, ...]:
    """Return all of our triggers of the kind's staging table."""
    changes = Trigger(
        "zz_datatransfer_2_update", "update", "note_changes", arguments=values_of(kind)
    )
    return (*NAMES, changes)


def plain(condition: str) -> str:
    """Return a condition without what PostgreSQL writes in another way than we do.

    That is brackets, spaces, quotes of names, casts to text, and its own schema.
    """
    return re.sub(r'[()\s"]|::text|pg_catalog\.', "", condition).lower()


def values_of(kind: Kind) -> tuple[str, ...]:
    """Return the arguments of the trigger that notes changes: see NOTE_CHANGES."""
    names = kind.shop_all.names(kind.columns)
    secrets = [name for column, name in names.items() if column.secret]
    others = [name for column, name in names.items() if not column.secret]
    return (*others, *(["", *secrets] if secrets else []))
