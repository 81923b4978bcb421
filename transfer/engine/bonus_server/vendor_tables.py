"""The vendor's tables in a bonus server's database: whether rows that pass our checks fit.

Where a column has no default, a sequence of the vendor's numbers the rows. Only that sequence may
number them: a number of our own could be one that his programs give next.
"""

from collections.abc import Iterable
from typing import NoReturn

import psycopg2
from psycopg2 import errors, sql

from transfer.causes.ledger import ROWS_SWALLOWED
from transfer.causes.tables import (
    RIGHTS_MISSING,
    SEQUENCE_BEHIND,
    TARGET_TABLE_MISSING,
    TOO_MANY_TRIGGERS,
    WRONG_COLUMNS,
)
from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database
from transfer.engine.postgres.relations import COLUMNS, check_logged
from transfer.engine.table_mapping import Column, TableMapping, TableName
from transfer.errors import TargetTableMissing, TransferError, WrongColumns

# A row if it is a sequence. By the catalogue.
IS_SEQUENCE = "select from pg_class where oid = to_regclass(%s) and relkind = 'S'"
# A row if the sequence exists and our role may not draw numbers from it. By the catalogue.
MAY_NOT_USE = """
    select from pg_class where oid = to_regclass(%s) and relkind = 'S'
       and not has_sequence_privilege(oid, 'usage')
"""
# A row if the column holds numbers, our role may read it, and an index begins with it: then its
# greatest value is one look-up. By the catalogue.
HAS_GREATEST = """
    select from pg_index join pg_attribute on attrelid = indrelid and attnum = indkey[0]
     where indrelid = to_regclass(%s) and attname = %s and indisvalid and indpred is null
       and atttypid = any ('{smallint,integer,bigint,numeric}'::regtype[])
       and has_column_privilege(indrelid, attnum, 'select')
     limit 1
"""
# Its greatest value. By that index.
GREATEST = "select max({column}) from {table}"
# The number that an ascending sequence gives next, or null if it has given none since it was set or
# restarted; and whether our role may read it. By the catalogue.
NEXT = """
    select pg_sequence_last_value(seqrelid) + seqincrement,
           has_sequence_privilege(seqrelid, 'select')
      from pg_sequence where seqrelid = to_regclass(%s) and seqincrement > 0
"""
# The number that it was set to, and gives next.
SET_TO = "select last_value from {sequence} where not is_called"
# All but ESTIMATE, COUNT_ROWS and HAS_ROWS read the catalogue alone.

# Triggers that may keep a row out. In pg_trigger.tgtype 1 is for each row, 2 before, 64 instead of,
# 4 on insert, 16 on update.
TRIGGERS = """
    select string_agg(tgname, ', ' order by tgname) from pg_trigger
     where tgrelid = to_regclass(%s) and not tgisinternal and tgenabled <> 'D'
       and tgtype & 1 = 1 and tgtype & 66 <> 0 and tgtype & %s <> 0
"""
ON_INSERT, ON_INSERT_OR_UPDATE = 4, 20
# Whether a table, or a partition of it, has more triggers than so many that fire. The rows of a
# table that has 20,000 take 50 ms each, though no trigger does anything.
HAS_MANY_TRIGGERS = """
    select exists (
        select from pg_trigger
         where not tgisinternal and tgenabled <> 'D'
           and (tgrelid = to_regclass(%(table)s)
                or tgrelid in (select relid from pg_partition_tree(to_regclass(%(table)s))))
         group by tgrelid having count(*) > %(most)s)
"""
MOST_TRIGGERS = 100
# Rules that put another statement in place of an insert (pg_rewrite.ev_type 3).
RULES = """
    select string_agg(rulename, ', ' order by rulename) from pg_rewrite
     where ev_class = to_regclass(%s) and ev_type = '3' and is_instead
       and ev_enabled <> 'D'
"""
# What an upsert can hold on to: a unique index on this column alone, whole and immediate.
UNIQUE = """
    select exists (
        select from pg_index
          join pg_attribute on attrelid = indrelid and attnum = indkey[0]
         where indrelid = to_regclass(%s) and attname = %s and indisunique
           and indimmediate and indisvalid and indpred is null and indnkeyatts = 1)
"""
# Columns that every row has to fill and that we do not know: name, and whether it is the key alone.
DEMANDED = """
    select attname,
           exists (select from pg_index where indrelid = attrelid and indisprimary
                      and indnkeyatts = 1 and indkey[0] = attnum)
      from pg_attribute
     where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped
       and attnotnull and not atthasdef and attidentity = '' and attname <> all(%s)
     order by attnum
"""
# How many rows a table has by the planner's statistics, or, where there are none yet, by its size;
# and whether we may count them.
ESTIMATE = """
    select case when reltuples >= 0 then reltuples else pg_relation_size(oid) / 100 end::bigint,
           has_table_privilege(oid, 'select')
      from pg_class where oid = to_regclass(%s)
"""
COUNTED_UP_TO = 1_000_000
# How many rows a table has. Reads it.
COUNT_ROWS = "select count(*) from {table}"
# Whether we see every row of a table, and nobody may have written rows that are not committed yet,
# into it or into a part of it.
SEES_ALL = """
    select has_table_privilege(oid, 'select') and not row_security_active(oid)
           and not exists (
               select from pg_locks
                where locktype = 'relation' and pid is distinct from pg_backend_pid()
                  and database = (select d.oid from pg_database d
                                   where d.datname = current_database())
                  and (relation = c.oid
                       or relation in (select relid from pg_partition_tree(c.oid))
                       or relation in (select inhrelid from pg_inherits where inhparent = c.oid))
                  and mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                               'AccessExclusiveLock'))
      from pg_class c where oid = to_regclass(%s)
"""
# Whether a table has a row.
HAS_ROWS = "select exists (select from {table})"
# Lets the planner judge whether a column takes a value; inserts nothing.
PLAN_INSERT = "explain insert into {table} ({column}) values ({value})"
# Where a refusal of the planner is taken back to.
SAVE = "savepoint planned"
# Takes it back.
GO_BACK = "rollback to savepoint planned"
# Our role.
ROLE = "select current_user"
# Whether it may create temporary tables, and in which database.
MAY_CREATE_TEMPORARY = """
    select has_database_privilege(current_database(), 'TEMP'), current_database()
"""
# What the administrator has to run where a right on a table is missing.
GRANT = "grant {rights} on {table} to {role};"
# Likewise for temporary tables.
GRANT_TEMPORARY = "grant temporary on database {database} to {role};"
# Likewise for a sequence.
GRANT_SEQUENCE = "grant usage on sequence {sequence} to {role};"
# The rights that we lack on any of the columns that a statement names.
RIGHTS = """
    select distinct wanted from unnest(%s) as wanted, unnest(%s) as name
     where not has_column_privilege(to_regclass(%s), name, wanted) order by wanted
"""
# Whether our role may use a schema; no row if there is none.
MAY_USE_SCHEMA = """
    select has_schema_privilege(oid, 'usage') from pg_namespace where nspname = %s
"""
# Likewise for a schema.
GRANT_SCHEMA = "grant usage on schema {schema} to {role};"
# Columns of a table: name, whether the table has it, and whether we may read it.
READABLE = """
    select name, attnum is not null,
           coalesce(has_column_privilege(attrelid, attnum, 'select'), false)
      from unnest(%s) as name
      left join pg_attribute
        on attrelid = to_regclass(%s) and attname = name and attnum > 0 and not attisdropped
"""
# Whether a table is there, as we see it.
IS_THERE = "select to_regclass(%s) is not null"


def check_sequences(database: Database, mapping: TableMapping) -> None:
    """Raises SEQUENCE_BEHIND if a sequence would give a number that a row has already.

    Then it is not the sequence of this column, or the vendor's program makes something else of its
    numbers, as Hibernate does with hi/lo. A unique key would refuse our rows; without one, two rows
    would have the same number. A sequence that programs draw from is never behind: the greatest
    number is asked for first.
    """
    for column, name in mapping.sequences.items():
        sequence = TableName(name)
        if not database.rows(HAS_GREATEST, [mapping.identifier, column]):
            continue
        query = sql.SQL(GREATEST).format(column=sql.Identifier(column), table=mapping.identifier)
        greatest = database.value(query)
        following = _next(database, sequence)
        if None not in (greatest, following) and greatest >= following:
            raise TransferError(
                SEQUENCE_BEHIND,
                database=database.name,
                table=mapping.identifier.quoted,
                column=column,
                sequence=sequence.quoted,
                next=following,
                greatest=greatest,
            )


def _next(database: Database, sequence: TableName) -> int | None:
    """The number that the sequence gives next; None where it descends, or we may not know."""
    for following, may_read in database.rows(NEXT, [sequence]):
        if following is None and may_read:
            query = sql.SQL(SET_TO).format(sequence=sequence)
            return next((number for (number,) in database.rows(query)), None)
        return None if following is None else int(following)
    return None


class VendorTables:
    """Checks the tables that transfers write to, before the first row and on request."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def check_columns(self, kind: Kind) -> None:
        """Whether what passes the checks fits into the bonus server's table.

        Raises TargetTableMissing, TABLE_UNLOGGED, TOO_MANY_TRIGGERS, WrongColumns, ROWS_SWALLOWED
        or SEQUENCE_BEHIND.
        """
        columns = {name: about for name, *about in self.database.rows(COLUMNS, [kind.target_table])}
        if not columns:
            raise TargetTableMissing(
                TARGET_TABLE_MISSING,
                database=self.database.name,
                table=kind.quoted_target,
            )
        check_logged(self.database, kind.target_table)
        self._check_triggers(kind)
        mapping, problems = kind.bonus_server, []
        for column, name in kind.held_names.items():
            type_, _, declared, modifier, labels = columns.get(name, ["", False, "", -1, []])
            if not type_:
                problems.append(f"{name} –")
            elif lacking := mapping.words_lacking(column, labels):
                problems.append(f"{name} {declared} ≠ {', '.join(map(repr, lacking))}")
            elif not (
                holds(mapping, column, type_, modifier) or mapping.is_enum_of_words(column, labels)
            ):
                problems.append(f"{name} {declared} ≠ {mapping.created_as(column)}")
        for name, value in mapping.further().items():
            sequence = mapping.sequences.get(name)
            is_missing = sequence is not None and not self.database.rows(
                IS_SEQUENCE, [TableName(sequence)]
            )
            if is_missing or not self._takes(kind, name, value):
                declared = columns[name][2] if name in columns else "–"
                given = sequence or repr(mapping.fixed[name])
                problems.append(f"{name} {declared} ≠ {given}")
        problems += self._other_problems(kind)
        if problems:
            raise WrongColumns(
                WRONG_COLUMNS,
                party=self.database.party,
                table=kind.quoted_target,
                problems="; ".join(problems),
            )
        rules = self.database.value(RULES, [kind.target_table])
        if kind.appends and rules:  # an inserted row may land elsewhere
            raise TransferError(
                ROWS_SWALLOWED, database=self.database.name, table=kind.quoted_target, names=rules
            )
        check_sequences(self.database, mapping)

    def _check_triggers(self, kind: Kind) -> None:
        """Raises TOO_MANY_TRIGGERS where the table's triggers would hold up each row."""
        about = {"table": kind.target_table, "most": MOST_TRIGGERS}
        if self.database.value(HAS_MANY_TRIGGERS, about):
            raise TransferError(
                TOO_MANY_TRIGGERS,
                party=self.database.party,
                table=kind.quoted_target,
                most=MOST_TRIGGERS,
            )

    def _other_problems(self, kind: Kind) -> list[str]:
        problems = [
            f"unique ({name}) –"
            for column, name in kind.held_names.items()
            if column.name in kind.unique
            and not self.database.value(UNIQUE, [kind.target_table, name])
        ]
        names = [*kind.held_names.values(), *kind.bonus_server.further()]
        demanded = self.database.rows(DEMANDED, [kind.target_table, names])
        return problems + [f"{name} not null, no default" for name, _ in demanded]

    def _takes(self, kind: Kind, name: str, value: sql.Composable) -> bool:
        """Whether the column takes the value."""
        insert = sql.SQL(PLAN_INSERT).format(
            table=kind.bonus_server.identifier,
            column=sql.Identifier(name),
            value=value,
        )
        with self.database.explained(), self.database.connection.cursor() as cursor:
            cursor.execute(SAVE)
            try:
                cursor.execute(insert)
            except errors.InsufficientPrivilege:
                return True  # `check_rights` says so
            except (psycopg2.DataError, psycopg2.ProgrammingError):
                return False
            finally:
                cursor.execute(GO_BACK)
        return True

    def check_rights(self, *kinds: Kind) -> None:
        """Whether we may do all that a chunk does. Raises RIGHTS_MISSING with the SQL to run."""
        user = self.database.value(ROLE)
        role = sql.Identifier(user)
        missing, grants = [], []
        for kind in kinds:
            names = [*kind.held_names.values(), *kind.bonus_server.further()]
            rows = self.database.rows(RIGHTS, [list(kind.rights), names, kind.target_table])
            if rows:
                rights = ", ".join(right for (right,) in rows)  # as a grant names them
                missing.append(f"{rights} on {kind.target}")
                grant = sql.SQL(GRANT).format(
                    rights=sql.SQL(rights.lower()), table=kind.target_table, role=role
                )
                grants.append(grant)
        may, database = self.database.only_row(MAY_CREATE_TEMPORARY)
        if not may:
            missing.append("TEMP")
            grant = sql.SQL(GRANT_TEMPORARY).format(database=sql.Identifier(database), role=role)
            grants.append(grant)
        for kind in kinds:
            for sequence in map(TableName, kind.bonus_server.sequences.values()):
                if self.database.rows(MAY_NOT_USE, [sequence]):
                    missing.append(f"USAGE on {sequence.name}")
                    grants.append(sql.SQL(GRANT_SEQUENCE).format(sequence=sequence, role=role))
        if missing:
            statements = sql.SQL("\n").join(grants).as_string(self.database.connection)
            raise TransferError(
                RIGHTS_MISSING,
                party=self.database.party,
                user=user,
                missing=", ".join(missing),
                statements=statements,
            )

    def check_readable(self, kind: Kind, columns: Iterable[Column]) -> None:
        """Whether we may read these of our columns in the kind's table, which may lack some.

        Reads the catalogue alone. Raises TargetTableMissing or WrongColumns, or RIGHTS_MISSING with
        the SQL to run.
        """
        schema, _, _table = kind.target.rpartition(".")
        if schema and (False,) in self.database.rows(MAY_USE_SCHEMA, [schema]):
            grant = sql.SQL(GRANT_SCHEMA)
            self._refuse_to_read(f"USAGE on {schema}", grant, schema=sql.Identifier(schema))
        if not self.database.value(IS_THERE, [kind.target_table]):
            raise TargetTableMissing(
                TARGET_TABLE_MISSING, database=self.database.name, table=kind.quoted_target
            )
        names = list(kind.bonus_server.names(columns).values())
        found = self.database.rows(READABLE, [names, kind.target_table])
        lacking = [f"{name} –" for name, is_there, _may_read in found if not is_there]
        if lacking:
            raise WrongColumns(
                WRONG_COLUMNS,
                party=self.database.party,
                table=kind.quoted_target,
                problems="; ".join(lacking),
            )
        if not all(may_read for _name, _is_there, may_read in found):
            self._refuse_to_read(
                f"SELECT on {kind.target}",
                sql.SQL(GRANT),
                rights=sql.SQL("select"),
                table=kind.target_table,
            )

    def _refuse_to_read(self, missing: str, grant: sql.SQL, **about: sql.Composable) -> NoReturn:
        """Raise RIGHTS_MISSING with the statement that grants what is missing."""
        user = self.database.value(ROLE)
        statement = grant.format(role=sql.Identifier(user), **about)
        raise TransferError(
            RIGHTS_MISSING,
            party=self.database.party,
            user=user,
            missing=missing,
            statements=statement.as_string(self.database.connection),
        )

    def count_rows(self, kind: Kind) -> int:
        """How many rows the table holds; an estimate where there are many, or we may not read.

        None of a table that is missing: a transfer says so before it moves a row.
        """
        found = self.database.rows(ESTIMATE, [kind.target_table])
        if not found:
            return 0
        ((estimate, may_read),) = found
        if estimate > COUNTED_UP_TO or not may_read:
            return int(estimate)
        return int(self.database.value(sql.SQL(COUNT_ROWS).format(table=kind.target_table)))

    def is_empty(self, kind: Kind) -> bool:
        """Return whether the table is certain to hold no row; false also where we can't know.

        The caller's transaction is not one with a snapshot: the second statement sees what those
        have committed that the first one did not find writing any more.
        """
        if not self.database.value(SEES_ALL, [kind.target_table]):
            return False
        return not self.database.value(sql.SQL(HAS_ROWS).format(table=kind.target_table))

    def swallowed(self, kind: Kind) -> TransferError:
        """What to raise when rows did not land: a trigger kept them out."""
        events = ON_INSERT if kind.appends else ON_INSERT_OR_UPDATE
        names = self.database.value(TRIGGERS, [kind.target_table, events])
        return TransferError(
            ROWS_SWALLOWED,
            database=self.database.name,
            table=kind.quoted_target,
            names=names or "?",
        )


def holds(mapping: TableMapping, column: Column, type_: str, modifier: int) -> bool:
    """Whether a column of this type can hold every value that passes the checks."""
    if type_ not in mapping.types(column):
        return False
    if type_ == "character varying":
        return modifier == -1 or modifier - 4 >= mapping.longest(column)
    if type_ == "numeric" and modifier != -1:
        # numeric(precision, scale) as PostgreSQL packs it (numeric.c, make_numeric_typmod).
        precision, scale = (modifier - 4) >> 16, (modifier - 4) & 0x7FF
        return scale >= 2 and precision - scale >= 13
    return True
