"""The door to a bonus server's database: its tables, and our positions beside them. No Django."""

from psycopg2 import errors

from transfer.engine.kinds import Column, Kind
from transfer.engine.position_table import SCHEMA, PositionTable
from transfer.engine.postgres import COLUMNS
from transfer.errors import NoRightForSchema, TargetTableMissing, WrongColumns

# pg_trigger.tgtype: 1 for each row, 2 before, 4 on insert. pg_rewrite.ev_type: 3 insert.
MEDDLERS = """
    select string_agg(name, ', ' order by name) from (
        select tgname::text as name from pg_trigger
         where tgrelid = to_regclass(%(table)s) and not tgisinternal and tgenabled <> 'D'
           and tgtype & 7 = 7 and %(all)s
        union all
        select rulename::text from pg_rewrite
         where ev_class = to_regclass(%(table)s) and ev_type = '3' and is_instead
           and ev_enabled <> 'D'
    ) as meddlers
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

        Raises TargetTableMissing or WrongColumns.
        """
        found = {
            name: (type_, declared, modifier)
            for name, type_, _, declared, modifier in self.rows(COLUMNS, [f'"{kind.target}"'])
        }
        if not found:
            raise TargetTableMissing(database=self.name, table=f'"{kind.target}"')
        problems = [
            f"{column.name} {found[column.name][1]} ≠ {column.created_as}"
            if column.name in found
            else f"{column.name} –"
            for column in kind.columns
            if column.name not in found
            or not holds(column, found[column.name][0], found[column.name][2])
        ]
        if problems:
            raise WrongColumns(
                database=self.name, table=f'"{kind.target}"', problems="; ".join(problems)
            )

    def meddlers(self, kind: Kind) -> dict[str, str]:
        """The vendor's triggers and rules that may keep a row out, as RowsSwallowed names them."""
        (names,) = self.one(MEDDLERS, {"table": f'"{kind.target}"', "all": True})
        return {"database": self.name, "table": f'"{kind.target}"', "names": names or "?"}


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
