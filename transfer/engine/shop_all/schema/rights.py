"""What keeps the writers of staging tables to the rules: functions, triggers, defaults, rights.

A writer is any role that may insert into a staging table. Defaults of columns give each row its
name, and triggers refuse another one: see `triggers`. Writers have no rights on our tables, and
need none. `datatransfer.origin` holds the key of which the names of loads are made: only roles that
move rows read it.

`Guards` compares all of it with what this version wants, and has the SQL that puts it right.
"""

from collections.abc import Collection

from psycopg2 import sql

from transfer.causes.tables import GUARDS_OF_ANOTHER, GUARDS_OUTDATED
from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.schema.tables import (
    CREATE_FUNCTIONS,
    DEFAULTS,
    FUNCTIONS,
    OURS,
    Trigger,
    plain,
    triggers_of,
)
from transfer.engine.table_mapping import TableName
from transfer.errors import GuardsOfAnother, GuardsOutdated

# Other roles may put functions and types into the schemas of our usual search_path.
PIN = "set search_path = pg_catalog, pg_temp;"
# Ends that.
UNPIN = "reset search_path;"

# Roles, as a subquery, that may read the key of the names of loads and do not move rows: those
# that move them add lines to the log. None if the log is missing, since then all would seem to be.
# 0 is PUBLIC.
READERS_OF_KEY = """
    select distinct to_oid.grantee
      from pg_class as about
     cross join lateral (
               select grantee from aclexplode(about.relacl)
                union
               select grantee from pg_attribute cross join aclexplode(attacl)
                where attrelid = about.oid) as to_oid
     where about.relnamespace = to_regnamespace('datatransfer') and about.relname = 'origin'
       and to_oid.grantee <> about.relowner
       and exists (select from pg_class as log
                    where log.relnamespace = about.relnamespace and log.relname = 'log')
       and not exists (select from pg_class as log cross join aclexplode(log.relacl) as granted
                        where log.relnamespace = about.relnamespace and log.relname = 'log'
                          and granted.privilege_type = 'INSERT'
                          and granted.grantee = to_oid.grantee)
"""
# Takes all rights from PUBLIC, and those on the key from roles that do not move rows.
RIGHTS = f"""
revoke all on schema datatransfer from public;
revoke all on all tables in schema datatransfer from public;
do $do$
declare
    reader oid;
begin
    for reader in {READERS_OF_KEY.strip()}
    loop
        execute format('revoke all on datatransfer.origin from %s',
                       case reader when 0 then 'public' else reader::regrole::text end);
    end loop;
end $do$;
"""
# What of our schema others may use: names. By the catalogue, as all queries here; by numbers, since
# a name is not looked up for a role without rights to the schema, but refused.
TOO_MANY_RIGHTS = f"""
    select 'datatransfer' from pg_namespace cross join aclexplode(nspacl)
     where nspname = 'datatransfer' and grantee = 0
     union
    select 'datatransfer.' || relname from pg_class cross join aclexplode(relacl)
     where relnamespace = to_regnamespace('datatransfer') and grantee = 0
     union
    select 'datatransfer.' || relname
      from pg_class join pg_attribute on attrelid = pg_class.oid cross join aclexplode(attacl)
     where relnamespace = to_regnamespace('datatransfer') and grantee = 0
     union
    select 'datatransfer.origin' where exists ({READERS_OF_KEY})
     order by 1
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

# These triggers of a table: see `triggers.Trigger.as_found`.
FOUND_TRIGGERS = r"""
    select tgname, tgtype::int, tgenabled::text, proname,
           coalesce(substring(pg_get_triggerdef(pg_trigger.oid) from 'WHEN \((.*)\) EXECUTE'), ''),
           substring(pg_get_triggerdef(pg_trigger.oid) from 'EXECUTE FUNCTION [^(]*[(](.*)[)]$'),
           tgattr::text = '' and pronamespace = to_regnamespace('datatransfer')
      from pg_trigger join pg_proc on pg_proc.oid = tgfoid
     where tgrelid = to_regclass(%s) and tgname = any(%s)
"""

# These columns of a table: name, and the expression of the default.
FOUND_DEFAULTS = """
    select attname, case when attgenerated = '' and attidentity = ''
                         then coalesce(pg_get_expr(adbin, adrelid), '') end
      from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
     where attrelid = to_regclass(%s) and attname = any(%s) and not attisdropped
"""
# Sets the default of a column, or takes it away.
SET_DEFAULT = "alter table {table} alter {column} set default {default};"
DROP_DEFAULT = "alter table {table} alter {column} drop default;"

# Whether our role may change all of it.
MAY_REPAIR = """
    select bool_and(pg_has_role(owner, 'usage'))
      from (select nspowner from pg_namespace where nspname = 'datatransfer'
            union all
            select proowner from pg_proc
             where pronamespace = to_regnamespace('datatransfer') and proname = any(%s)
            union all
            select relowner from pg_class
             where relnamespace = to_regnamespace('datatransfer') and relkind = 'r'
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

# Columns that writers leave out → the expression of the default, as `pg_get_expr` writes it.
WANTED_DEFAULTS = {"line": "", "changes": ""} | DEFAULTS


class Guards:
    """The functions, triggers, defaults and rights of one shop All with these kinds of rows."""

    def __init__(self, database: Database, kinds: Collection[Kind]) -> None:
        self.database = database
        self.kinds = kinds

    def differing_functions(self) -> list[str]:
        """Return names of functions that are missing, or whose body, settings or owner differ."""
        found = {
            name: (body, is_right)
            for name, body, is_right in self.database.rows(
                FOUND_FUNCTIONS, [self.tables(), [*FUNCTIONS]]
            )
        }
        return [name for name, body in FUNCTIONS.items() if found.get(name) != (body, True)]

    def differing_triggers(self, kind: Kind) -> list[Trigger]:
        """Return triggers of the staging table that are missing, off, or do something else."""
        wanted = triggers_of(kind)
        names = [one.name for one in wanted]
        found = {
            (*row[:4], plain(row[4]), *row[5:])
            for row in self.database.rows(FOUND_TRIGGERS, [kind.staging_table, names])
        }
        return [one for one in wanted if one.as_found() not in found]

    def differing_defaults(self, kind: Kind) -> list[str]:
        """Return columns of the staging table that have another default, and exist."""
        found = self.database.rows(FOUND_DEFAULTS, [kind.staging_table, [*WANTED_DEFAULTS]])
        return [name for name, default in found if default != WANTED_DEFAULTS[name]]

    def too_many_rights(self) -> list[str]:
        """Return what of our schema others may use than roles that move rows."""
        return [name for (name,) in self.database.rows(TOO_MANY_RIGHTS)]

    def differences(self) -> list[str]:
        """Return names of what differs from what this version wants."""
        return [
            *(f"datatransfer.{name}()" for name in self.differing_functions()),
            *self.too_many_rights(),
            *(
                f"{kind.quoted_staging}.{name}"
                for kind in self.kinds
                for name in [
                    *(trigger.name for trigger in self.differing_triggers(kind)),
                    *self.differing_defaults(kind),
                ]
            ),
        ]

    def is_initialised(self) -> bool:
        """Return whether our tables exist; also if our role may not use them."""
        return bool(self.database.value(IS_INITIALISED))

    def check(self) -> None:
        """Raise GuardsOutdated, or GuardsOfAnother with the SQL for their owner.

        A database that was never initialised has no writers yet; others say what it lacks.
        """
        if not self.is_initialised():
            return
        if names := ", ".join(self.differences()):
            if self.database.value(MAY_REPAIR, [[*FUNCTIONS], self.tables()]):
                raise GuardsOutdated(GUARDS_OUTDATED, names=names)
            raise GuardsOfAnother(GUARDS_OF_ANOTHER, names=names, script=self.script())

    def script(self) -> str:
        """Return the SQL by which the owner of the tables, or a superuser, puts all of it right."""
        parts = [
            *("begin;", PIN, RIGHTS.strip(), CREATE_FUNCTIONS),
            *(
                statement.as_string(self.database.connection)
                for kind in self.kinds
                for statement in [
                    *set_defaults(kind, self.differing_defaults(kind)),
                    *(one.create(kind.staging_table) for one in triggers_of(kind)),
                ]
            ),
            *(self.hand_over(), UNPIN, "commit;"),
        ]
        return "\n".join(parts)

    def hand_over(self) -> str:
        """Return SQL that gives our schema to a role that is no superuser, if a superuser runs it.

        Without such an owner of the staging tables or the database, to our own role.
        """
        keeper = self.database.value(KEEPER, [self.tables()])
        statement = sql.SQL(HAND_OVER).format(keeper=sql.Literal(keeper))
        return statement.as_string(self.database.connection).strip()

    def tables(self) -> list[TableName]:
        return [kind.staging_table for kind in self.kinds]


def set_defaults(kind: Kind, columns: Collection[str]) -> list[sql.Composed]:
    """Return SQL that gives these columns of the staging table the defaults that we want."""
    statements = []
    for name in columns:
        _, has_default, default = OURS[name].partition(" default ")
        statement = SET_DEFAULT if has_default else DROP_DEFAULT
        statements.append(
            sql.SQL(statement).format(
                table=kind.staging_table, column=sql.Identifier(name), default=sql.SQL(default)
            )
        )
    return statements
