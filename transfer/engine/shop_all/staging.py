"""Creates the staging tables of shop All and our own tables there."""

from collections.abc import Collection
from itertools import chain
from typing import Protocol

from psycopg2 import sql

from transfer.engine.errors import RowsUndecided
from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database
from transfer.engine.postgres.relations import COLUMNS
from transfer.engine.shop_all import (
    batch_schema,
    change_decisions,
    correction_log,
    guards,
    purge_notes,
    rebase_log,
    restore_notes,
    uncertain_changes,
    undo_log,
    writers,
)
from transfer.engine.shop_all.guards import Guards
from transfer.engine.shop_all.indexes import Indexes, Step
from transfer.engine.shop_all.trigger_functions import CREATE_FUNCTIONS
from transfer.engine.shop_all.triggers import NOTES, STAMPS, notes_of_changes
from transfer.errors import gettext_noop

# Our own tables, if they are missing; what exists stays as it is.
SCHEMA = """
create schema if not exists datatransfer;
create table if not exists datatransfer.origin (
    one boolean primary key default true check (one),
    origin uuid not null default gen_random_uuid(),
    created_at timestamptz not null default now()
);
-- Whether the database was dumped and restored tells the transaction that this row names. Where
-- it does, nothing is locked: all writers of rows read this table. A default rewrites no row.
do $$ begin
    if not exists (select from pg_attribute where attname = 'xid' and not attisdropped
                      and attrelid = 'datatransfer.origin'::regclass) then
        alter table datatransfer.origin add xid xid8 not null default pg_current_xact_id();
        update datatransfer.origin set xid = pg_current_xact_id();
    end if;
end $$;
insert into datatransfer.origin (one) values (true) on conflict do nothing;
create table if not exists datatransfer.purged (
    kind text primary key,
    rows bigint not null,
    amount numeric not null
);
-- Loads that have committed: one whose answer was lost is not repeated.
create table if not exists datatransfer.loaded (
    token uuid primary key,
    kind text not null,
    rows bigint not null,
    loaded_at timestamptz not null default now()
);
-- The rows of a load are those that this transaction of this database wrote, and no others. Of a
-- call of the API the token is made of its Idempotency-Key, and the digest, keyed, of its rows.
alter table datatransfer.loaded
    add column if not exists origin uuid,
    add column if not exists xid xid8,
    add column if not exists digest text;
-- Rejected rows that were corrected: each is staged again once, however often it is sent.
create table if not exists datatransfer.resent (
    origin uuid not null,
    kind text not null,
    old_id bigint not null,
    new_id bigint,
    new_xid xid8,
    sent_at timestamptz not null default now(),
    primary key (origin, kind, old_id)
);
-- A row that one bonus server refused may have been accepted by others: what replaces it is only
-- for those that have rejected it.
alter table datatransfer.resent
    add column if not exists where_rejected boolean not null default false,
    add column if not exists sent_by text not null default '';
create index if not exists resent_where_rejected on datatransfer.resent (kind, new_xid)
    where where_rejected;
create index if not exists resent_as on datatransfer.resent (kind, new_id);
-- Transactions that have sent corrected rows, until their rejects are closed in our own database:
-- what a process that died in between leaves behind.
create table if not exists datatransfer.resending (
    xid xid8 primary key,
    kind text not null,
    sent_by text not null,
    sent_at timestamptz not null default now()
);
"""

PARTS = (
    *(writers, batch_schema, purge_notes, restore_notes, rebase_log),
    *(change_decisions, uncertain_changes, undo_log, correction_log),
)
SCHEMAS = (SCHEMA, *(part.SCHEMA for part in PARTS))

# Our own columns, and how each is added to a table that has rows already. Those rows get the
# transaction that adds `xid`, and move with the next transfer; or MOVED, where the administrator
# says that they were moved.
OURS = {
    "id": "bigint generated always as identity",
    "xid": "xid8 not null default pg_current_xact_id()",
    "created_at": "timestamptz default now()",
    "changed_xid": "xid8",
}
# A transaction before the first one of any cluster: every snapshot sees it, so each position has
# moved such a row.
MOVED = 2
# Whether we may read a table. By the catalogue.
MAY_READ = "select has_table_privilege(to_regclass(%s), 'select')"
# Whether a table has a row. Reads up to the first.
HAS_ROWS = "select exists (select from {table})"

# Creates a table.
CREATE = "create table {table} ({columns})"
# Adds columns to one.
ADD_COLUMNS = "alter table {table} {columns}"
# After a column was added with another default for the rows that existed.
DEFAULT_XID = "alter table {table} alter column xid set default pg_current_xact_id()"

CREATED = gettext_noop("%(table)s: created")
ADDED = gettext_noop("%(table)s: column %(column)s added")
GUARDED = gettext_noop("%(table)s: trigger created that stamps xid")
NOTED = gettext_noop("%(table)s: trigger created that notes who writes")
NOTED_CHANGES = gettext_noop("%(table)s: triggers created that note changed rows")
REPLACED = gettext_noop("Functions and rights for writers replaced: %(names)s")
COMPLETE = gettext_noop("%(table)s: nothing was missing")


class Checks(Protocol):
    """What `Identity` can check of a staging table."""

    def check_table(self, kind: Kind) -> None: ...

    def check_columns(self, kind: Kind) -> None: ...

    def check_guards(self, guards: Guards) -> None: ...


class Staging:
    """Creates the staging tables, with our columns, triggers and indexes, and our own tables."""

    def __init__(
        self,
        database: Database,
        kinds: Collection[Kind],
        checks: Checks,
        existing_moved: bool | None = None,
    ) -> None:
        """`existing_moved`: whether rows of tables that lack our columns were moved, or wait."""
        self.existing_moved = existing_moved
        self.database = database
        self.kinds = kinds
        self.checks = checks
        self.guards = Guards(database, kinds)
        self.indexes = Indexes(self.database)

    def initialise(self) -> list[Step]:
        """Adds what is missing and keeps the rest; all tables or none, then the indexes.

        Raises WrongColumns when an existing column has another type, StagingTableChanged;
        RowsUndecided when a table without our columns has rows and `existing_moved` is not given.
        """
        steps: dict[str, list[Step]] = {}
        with self.database.transaction():
            self.database.limit_statements(None)
            self.database.execute("\n".join(SCHEMAS))
            replaced = self._replace_functions()
            for kind in self.kinds:
                self.checks.check_table(kind)
                steps[kind.name] = self._initialise(kind)
                self.checks.check_columns(kind)
            self.checks.check_guards(self.guards)
        for kind in self.kinds:
            steps[kind.name] += self.indexes.index_lookups(kind)
            if not steps[kind.name]:
                steps[kind.name] = [Step(COMPLETE, {"table": kind.staging})]
        return replaced + list(chain.from_iterable(steps.values()))

    def _check_empty(self, kind: Kind) -> None:
        """Raises RowsUndecided where the table has rows, or we may not look."""
        may_read = self.database.value(MAY_READ, [kind.staging_table])
        query = sql.SQL(HAS_ROWS).format(table=kind.staging_table)
        if not may_read or self.database.value(query):
            raise RowsUndecided(table=kind.quoted_staging)

    def _replace_functions(self) -> list[Step]:
        """Replaces functions and rights that an earlier version, or another role, has made."""
        names = [f"datatransfer.{name}()" for name in self.guards.differing_functions()]
        if not self.guards.has_rights():
            names.append("datatransfer.writer")
        if not names:
            return []
        # The rights come first: without them the function would refuse what writers write.
        parts = (guards.RIGHTS, CREATE_FUNCTIONS)
        self.database.execute("\n".join(parts))
        return [Step(REPLACED, {"names": ", ".join(names)})]

    def _initialise(self, kind: Kind) -> list[Step]:
        """Makes the table with its columns, then the index on (xid, id), then the triggers."""
        steps = self._create_columns(kind) + self.indexes.index_places(kind)
        made = (
            (STAMPS, GUARDED),
            (NOTES, NOTED),
            (notes_of_changes(kind), NOTED_CHANGES),
        )
        for triggers, sentence in made:
            if differing := self.guards.differing_triggers(kind, triggers):
                for trigger in differing:
                    self.database.execute(trigger.create(kind.staging_table))
                steps.append(Step(sentence, {"table": kind.staging}))
        return steps

    def _create_columns(self, kind: Kind) -> list[Step]:
        """Creates the table, or adds the columns that it lacks."""
        existing = {row[0] for row in self.database.rows(COLUMNS, [kind.staging_table])}
        columns = {
            name: kind.shop_all.created_as(column)
            for column, name in kind.shop_all.names(kind.columns).items()
        } | OURS
        missing = {name: type_ for name, type_ in columns.items() if name not in existing}
        if not existing:
            self._change_table(kind, CREATE, "{} {}", columns)
            return [Step(CREATED, {"table": kind.staging})]
        if missing:
            self._add_columns(kind, missing)
        return [Step(ADDED, {"table": kind.staging, "column": name}) for name in missing]

    def _add_columns(self, kind: Kind, columns: dict[str, str]) -> None:
        """Adds these columns; the rows that exist wait for the next transfer, or count as moved."""
        if "xid" in columns and self.existing_moved is None:
            self._check_empty(kind)
        if "xid" not in columns or not self.existing_moved:
            self._change_table(kind, ADD_COLUMNS, "add column {} {}", columns)
            return
        moved = columns | {"xid": f"xid8 not null default '{MOVED}'"}
        self._change_table(kind, ADD_COLUMNS, "add column {} {}", moved)
        self.database.execute(sql.SQL(DEFAULT_XID).format(table=kind.staging_table))

    def _change_table(
        self, kind: Kind, statement: str, column: str, columns: dict[str, str]
    ) -> None:
        """Runs a statement over columns: their names and how each is created."""
        parts = [
            sql.SQL(column).format(sql.Identifier(name), sql.SQL(type_))
            for name, type_ in columns.items()
        ]
        joined = sql.SQL(", ").join(parts)
        self.database.execute(sql.SQL(statement).format(table=kind.staging_table, columns=joined))
