"""The door to a bonus server's database: its tables, and our positions beside them. No Django."""

from psycopg2 import errors

from transfer.engine import position_table, reject_table
from transfer.engine.errors import (
    NoRightForSchema,
    RightsMissing,
    RowsSwallowed,
    TargetTableMissing,
    WrongColumns,
)
from transfer.engine.kinds import Column, Kind
from transfer.engine.position_table import PositionTable
from transfer.engine.postgres import COLUMNS
from transfer.errors import TransferError

SCHEMA = position_table.SCHEMA + reject_table.SCHEMA

# Triggers that may keep a row out: pg_trigger.tgtype is 1 for each row, 2 before, 4 on insert.
TRIGGERS = """
    select string_agg(tgname, ', ' order by tgname) from pg_trigger
     where tgrelid = to_regclass(%s) and not tgisinternal and tgenabled <> 'D' and tgtype & 7 = 7
"""
# Rules that put another statement in place of an insert (pg_rewrite.ev_type 3).
RULES = """
    select string_agg(rulename, ', ' order by rulename) from pg_rewrite
     where ev_class = to_regclass(%s) and ev_type = '3' and is_instead and ev_enabled <> 'D'
"""
# What an upsert can hold on to: a unique index on this column alone, whole and immediate.
UNIQUE = """
    select exists (
        select from pg_index
          join pg_attribute on attrelid = indrelid and attnum = indkey[0]
         where indrelid = to_regclass(%s) and attname = %s and indisunique and indimmediate
           and indisvalid and indpred is null and indnkeyatts = 1)
"""
# What a column may be that takes the time of a chunk: COPY would write it into any eight bytes.
STAMPS = ("timestamp with time zone", "timestamp without time zone", "date")
# Columns that every row has to fill and that we do not know.
DEMANDED = """
    select attname from pg_attribute
     where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped and attnotnull
       and not atthasdef and attidentity = '' and attname <> all(%s)
     order by attnum
"""
# Rights on the columns that a statement names.
RIGHTS = """
    select distinct wanted from unnest(%s) as wanted, unnest(%s) as name
     where not has_column_privilege(to_regclass(%s), name, wanted) order by wanted
"""


class BonusDatabase(PositionTable):
    def ensure_schema(self) -> None:
        """Creates our schema where it is missing; the caller commits.

        Raises NoRightForSchema with the SQL to run.
        """
        if self._is_complete():
            return
        with self.explained(), self.connection.cursor() as cursor:
            try:
                # Two first runs at once would both create it.
                cursor.execute("select pg_advisory_xact_lock(hashtext('datatransfer'))")
                cursor.execute(SCHEMA)
            except errors.InsufficientPrivilege:
                self.connection.rollback()
                raise NoRightForSchema(
                    database=self.name, statements=SCHEMA + self._grants()
                ) from None

    def _grants(self) -> str:
        user = self.one("select quote_ident(current_user)")[0]
        return (
            f"grant usage on schema datatransfer to {user};\n"
            f"grant select, insert, update on datatransfer.position to {user};\n"
            f"grant select, insert, delete on datatransfer.reject to {user};"
        )

    def check_columns(self, kind: Kind) -> None:
        """Whether what passes the checks fits into the bonus server's table.

        Raises TargetTableMissing, WrongColumns or RowsSwallowed.
        """
        columns = {
            name: (type_, declared, modifier)
            for name, type_, _, declared, modifier in self.rows(COLUMNS, [f'"{kind.target}"'])
        }
        if not columns:
            raise TargetTableMissing(database=self.name, table=f'"{kind.target}"')
        problems = [
            f"{column.name} {columns[column.name][1]} ≠ {column.created_as}"
            if column.name in columns
            else f"{column.name} –"
            for column in kind.columns
            if column.name not in columns
            or not holds(column, columns[column.name][0], columns[column.name][2])
        ]
        stamp, *_ = columns.get(kind.stamps, ("–",))
        if stamp not in STAMPS:
            problems.append(f"{kind.stamps} {stamp}")
        problems += self._other_problems(kind)
        if problems:
            raise WrongColumns(
                database=self.name, table=f'"{kind.target}"', problems="; ".join(problems)
            )
        self.check_rules(kind)

    def _other_problems(self, kind: Kind) -> list[str]:
        table, names = f'"{kind.target}"', [*(c.name for c in kind.columns), kind.stamps]
        problems = [
            f"unique ({name}) –" for name in kind.unique if not self.one(UNIQUE, [table, name])[0]
        ]
        demanded = self.rows(DEMANDED, [table, names])
        return problems + [f"{name} not null, no default" for (name,) in demanded]

    def check_rights(self, *kinds: Kind) -> None:
        """Whether we may do all that a chunk does. Raises RightsMissing with the SQL to run."""
        user, quoted = self.one("select current_user, quote_ident(current_user)")
        missing, statements = [], []
        for kind in kinds:
            names = [*(column.name for column in kind.columns), kind.stamps]
            lacking = self.rows(RIGHTS, [list(kind.rights), names, f'"{kind.target}"'])
            if rights := ", ".join(right for (right,) in lacking):
                missing.append(f"{rights} on {kind.target}")
                statements.append(f'grant {rights.lower()} on "{kind.target}" to {quoted};')
        may, database = self.one(
            "select has_database_privilege(current_database(), 'TEMP'), "
            "quote_ident(current_database())"
        )
        if not may:
            missing.append("TEMP")
            statements.append(f"grant temporary on database {database} to {quoted};")
        if missing:
            raise RightsMissing(
                user=user, missing=", ".join(missing), statements="\n".join(statements)
            )

    def check_rules(self, kind: Kind) -> None:
        """Whether each row of an insert lands in the table itself. Raises RowsSwallowed."""
        (names,) = self.one(RULES, [f'"{kind.target}"'])
        if kind.appends and names:
            raise RowsSwallowed(database=self.name, table=f'"{kind.target}"', names=names)

    def has_rules(self, kind: Kind) -> bool:
        """Whether an insert may do more, or something else, than a COPY does."""
        query = "select relhasrules from pg_class where oid = to_regclass(%s)"
        return bool(self.one(query, [f'"{kind.target}"'])[0])

    def swallowed(self, kind: Kind, lost: TransferError | None = None) -> TransferError:
        """What to raise when rows did not land: `lost`, where no trigger can have kept them out."""
        (names,) = self.one(TRIGGERS, [f'"{kind.target}"'])
        if lost is not None and not names:
            return lost
        return RowsSwallowed(database=self.name, table=f'"{kind.target}"', names=names or "?")


def holds(column: Column, type_: str, modifier: int) -> bool:
    """Whether a column of this type can hold every value that passes the checks."""
    if type_ not in column.types:
        return False
    if type_ == "character varying":
        return modifier == -1 or modifier - 4 >= 100
    if type_ == "numeric" and modifier != -1:
        # numeric(precision, scale) as PostgreSQL packs it (numeric.c, make_numeric_typmod).
        precision, scale = (modifier - 4) >> 16, (modifier - 4) & 0x7FF
        return scale >= 2 and precision - scale >= 13
    return True
