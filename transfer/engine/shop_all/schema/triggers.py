"""Our triggers on the staging tables: they keep the names of rows as the defaults give them.

A writer is any role that may insert into a staging table. It must not choose the name of a row
(`xid`, `started`, `line`, `staged_by`, `id` of an existing row), nor what we note of changes. Row
triggers refuse other values than the defaults, and an update of them; they replace nothing, since a
row that comes with its name, such as from a dump, may be right. Why a writer gains nothing by them:

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
