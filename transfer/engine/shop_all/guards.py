"""What keeps the writers of staging tables to the rules: functions, triggers, rights.

A writer is any role that may insert into a staging table. It must not choose the transaction
number of its rows, since the position relies on it; and the trace must name it. Both are done by
triggers, which run in the writer's session. Why a writer gains nothing by them:

- The functions run with the rights of the writer: none is SECURITY DEFINER. Code that a writer
  makes them run has the rights that the writer has anyway.
- Their bodies find nothing by `search_path`, which a writer sets: functions, operators and types
  are named with their schema (`pg_temp` comes first for types even where `search_path` is empty).
  Conditions of triggers and defaults of columns were resolved when
  they were made.
- To note who writes, every role may insert into one column of `datatransfer.writer`, that of the
  origin. The others, above all the name and the transaction, always get their default.
"""

from collections.abc import Collection, Iterable

from psycopg2 import sql

from transfer.engine.errors import GuardsOfAnother, GuardsOutdated
from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all import writers
from transfer.engine.shop_all.trigger_functions import CREATE_FUNCTIONS, FUNCTIONS
from transfer.engine.shop_all.triggers import Trigger, plain, triggers_of
from transfer.engine.table_name import TableName

# Other roles may put functions and types into the schemas of our usual search_path.
PIN = "set search_path = pg_catalog, pg_temp;"
# Ends that.
UNPIN = "reset search_path;"

# The columns of a writer's note get their values from defaults, and every role may write a note.
RIGHTS = """
alter table datatransfer.writer
    alter xid set default pg_current_xact_id(),
    alter name set default session_user,
    alter program set default current_setting('application_name');
revoke all on datatransfer.origin, datatransfer.writer from public;
grant usage on schema datatransfer to public;
grant select on datatransfer.origin to public;
grant insert (origin) on datatransfer.writer to public;
"""
# Whether RIGHTS are granted, and no more. By the catalogue, as all queries here; by numbers, since
# a name is not looked up for a role without rights to the schema, but refused.
HAS_RIGHTS = """
    select count(*) filter (where is_right) = 7
      from (select has_schema_privilege('public', oid, 'usage')
              from pg_namespace where nspname = 'datatransfer'
            union all
            select has_table_privilege('public', oid, 'select')
              from pg_class where relnamespace = to_regnamespace('datatransfer')
               and relname = 'origin'
            union all
            select has_column_privilege('public', attrelid, attnum, 'insert') = (attname = 'origin')
                   and (atthasdef or attname = 'origin')
              from pg_attribute join pg_class on pg_class.oid = attrelid
             where relnamespace = to_regnamespace('datatransfer') and relname = 'writer'
               and attnum > 0 and not attisdropped
           ) as wanted (is_right)
"""
# Whether our tables exist.
IS_INITIALISED = """
    select exists (select from pg_class
                    where relnamespace = to_regnamespace('datatransfer') and relname = 'origin')
"""

# Our functions: name, body, and whether language, settings and owner are right. The owner of one of
# them can make every writer run code, as the owner of a staging table can. So it has to be one of
# those, the owner of the database, or our own role.
FOUND_FUNCTIONS = """
    select proname, prosrc, lanname = 'plpgsql' and not prosecdef and proconfig is null
           and (proowner = (select oid from pg_roles where rolname = current_user)
                or proowner = (select datdba from pg_database where datname = current_database())
                or proowner in (select relowner from unnest(%s) as name
                                  join pg_class on pg_class.oid = to_regclass(name)))
      from pg_proc join pg_language on pg_language.oid = prolang
     where pronamespace = to_regnamespace('datatransfer') and pronargs = 0 and proname = any(%s)
"""

# These triggers of a table: see `triggers.Trigger.as_found`. `tgtype`: 1 each row, 2 before,
# 4 insert, 16 update (PostgreSQL, catalog/pg_trigger.h).
FOUND_TRIGGERS = r"""
    select tgname, tgtype::int, tgenabled::text, proname,
           coalesce(substring(pg_get_triggerdef(pg_trigger.oid) from 'WHEN \((.*)\) EXECUTE'), ''),
           substring(pg_get_triggerdef(pg_trigger.oid) from 'EXECUTE FUNCTION [^(]*[(](.*)[)]$'),
           tgattr::text = '' and pronamespace = to_regnamespace('datatransfer')
      from pg_trigger join pg_proc on pg_proc.oid = tgfoid
     where tgrelid = to_regclass(%s) and tgname = any(%s)
"""

# Whether our role may change all of it.
MAY_REPAIR = """
    select bool_and(pg_has_role(owner, 'usage'))
      from (select nspowner from pg_namespace where nspname = 'datatransfer'
            union all
            select proowner from pg_proc
             where pronamespace = to_regnamespace('datatransfer') and proname = any(%s)
            union all
            select relowner from pg_class
             where relnamespace = to_regnamespace('datatransfer')
                   and relname in ('origin', 'writer')
                or oid in (select to_regclass(name) from unnest(%s) as name)
           ) as owned (owner)
"""

# The role that our schema is given to where a superuser makes it: one that may change the staging
# tables anyway.
KEEPER = """
    select coalesce(
        (select min(rolname) from unnest(%s) as name
           join pg_class on pg_class.oid = to_regclass(name)
           join pg_roles on pg_roles.oid = relowner where not rolsuper),
        (select rolname from pg_database join pg_roles on pg_roles.oid = datdba
          where datname = current_database() and not rolsuper),
        current_user)
"""
# Gives the schema, its tables and functions to that role, if a superuser runs it.
HAND_OVER = """
do $do$
declare
    keeper name := {keeper};
    command text;
begin
    if not (select rolsuper from pg_roles where rolname = current_user) then
        return;
    end if;
    execute format('alter schema datatransfer owner to %I', keeper);
    for command in
        select format('alter table %s owner to %I', oid::regclass, keeper)
          from pg_class where relnamespace = 'datatransfer'::regnamespace and relkind = 'r'
        union all
        select format('alter function %s owner to %I', oid::regprocedure, keeper)
          from pg_proc where pronamespace = 'datatransfer'::regnamespace
    loop
        execute command;
    end loop;
end $do$;
"""


# The column that the triggers of changes fill, for a table that another role owns.
ADD_CHANGED = "alter table {table} add column if not exists changed_xid xid8;"
HAS_CHANGED = """
    select exists (select from pg_attribute where attrelid = to_regclass(%s)
                      and attname = 'changed_xid' and not attisdropped)
"""


class Guards:
    """The functions, triggers and rights of one shop All with these kinds of rows."""

    def __init__(self, database: Database, kinds: Collection[Kind]) -> None:
        self.database = database
        self.kinds = kinds

    def differing_functions(self) -> list[str]:
        """Names of functions that are missing, or whose body, configuration or owner is another."""
        found = {
            name: (body, is_right)
            for name, body, is_right in self.database.rows(
                FOUND_FUNCTIONS, [self.tables(), [*FUNCTIONS]]
            )
        }
        return [name for name, body in FUNCTIONS.items() if found.get(name) != (body, True)]

    def differing_triggers(
        self, kind: Kind, triggers: Iterable[Trigger] | None = None
    ) -> list[Trigger]:
        """Triggers of the staging table that are missing, off, or do something else."""
        wanted = list(triggers_of(kind) if triggers is None else triggers)
        names = [one.name for one in wanted]
        found = {
            (*row[:4], plain(row[4]), *row[5:])
            for row in self.database.rows(FOUND_TRIGGERS, [kind.staging_table, names])
        }
        return [one for one in wanted if one.as_found() not in found]

    def has_rights(self) -> bool:
        """Whether writers may note who they are, and nothing else."""
        return bool(self.database.value(HAS_RIGHTS))

    def differences(self) -> list[str]:
        """Names the functions, triggers and rights that differ from those of this version."""
        return [
            *(f"datatransfer.{name}()" for name in self.differing_functions()),
            *([] if self.has_rights() else ["datatransfer.writer"]),
            *(
                f"{kind.quoted_staging}.{trigger.name}"
                for kind in self.kinds
                for trigger in self.differing_triggers(kind)
            ),
            *(
                f"{kind.quoted_staging}.changed_xid"
                for kind in self.kinds
                if not self.database.value(HAS_CHANGED, [kind.staging_table])
            ),
        ]

    def check(self) -> None:
        """Raises GuardsOutdated, or GuardsOfAnother with the SQL for their owner.

        A database that was never initialised has no writers yet; others say what it lacks.
        """
        if not self.database.value(IS_INITIALISED):
            return
        if names := ", ".join(self.differences()):
            if self.database.value(MAY_REPAIR, [[*FUNCTIONS], self.tables()]):
                raise GuardsOutdated(names=names)
            raise GuardsOfAnother(names=names, script=self.script())

    def script(self) -> str:
        """The SQL by which the owner of the tables, or a superuser, puts all of it right."""
        parts = [
            *("begin;", PIN, writers.SCHEMA.strip(), RIGHTS.strip(), CREATE_FUNCTIONS),
            *(
                sql.SQL(ADD_CHANGED)
                .format(table=kind.staging_table)
                .as_string(self.database.connection)
                for kind in self.kinds
            ),
            *(
                trigger.create(kind.staging_table).as_string(self.database.connection)
                for kind in self.kinds
                for trigger in triggers_of(kind)
            ),
            *(self.hand_over(), UNPIN, "commit;"),
        ]
        return "\n".join(parts)

    def hand_over(self) -> str:
        """SQL: gives our schema to a role that is no superuser, where a superuser runs it.

        Without such an owner of the staging tables or the database, to our own role.
        """
        keeper = self.database.value(KEEPER, [self.tables()])
        statement = sql.SQL(HAND_OVER).format(keeper=sql.Literal(keeper))
        return statement.as_string(self.database.connection).strip()

    def tables(self) -> list[TableName]:
        return [kind.staging_table for kind in self.kinds]
