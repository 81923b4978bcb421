"""Creates the staging tables of shop All and our own tables there.

What is missing is added, and nothing that exists is dropped or changed. What does not fit is
refused by name, before anything is changed: everything but the indexes for look-ups is made in one
transaction.
"""

from collections.abc import Collection
from itertools import chain
from typing import Protocol

from psycopg2 import sql

from transfer.causes.tables import IDS_REPEATED, NAME_TAKEN, ROWS_UNDECIDED, SHOP_ALL_OF_0_1_0
from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database
from transfer.engine.postgres.relations import COLUMNS
from transfer.engine.shop_all.schema import tables
from transfer.engine.shop_all.schema.indexes import Indexes, Step
from transfer.engine.shop_all.schema.rights import RIGHTS, Guards, set_defaults
from transfer.engine.shop_all.schema.tables import CREATE_FUNCTIONS, OURS
from transfer.errors import TransferError
from transfer.parties import gettext_noop

# Whether we may read a table. By the catalogue.
MAY_READ = "select has_table_privilege(to_regclass(%s), 'select')"
# Whether a table has a row. Reads up to the first.
HAS_ROWS = "select exists (select from {table})"
# The values that more than one row has as its name, how many there are, and how many rows have
# none. Reads the table.
REPEATED = """
    with named as materialized (
        select {id} as id, count(*) as rows from {table} group by {name}, {id}
    )
    select array(select id::text from named where rows > 1 and id is not null
                  group by named.id order by named.id limit 20),
           (select count(distinct id) from named where rows > 1 and id is not null),
           (select coalesce(sum(rows), 0) from named where id is null)
"""

# Creates a table.
CREATE = "create table {table} ({columns})"
# Adds columns to one. Defaults rewrite no row: PostgreSQL evaluates them once, so all rows that
# exist get this transaction as their name, and are one changeset.
ADD_COLUMNS = "alter table {table} {columns}"

# Adds the rows that exist to the log, as moved before us: one line, since all of them have this
# transaction as their name.
LOG_AS_MOVED = f""" with head as materialized ( select number from datatransfer.head where kind =
{{kind}} for update ), last as materialized ( select rows_to, amount_to from datatransfer.log where
kind = {{kind}} and number = (select number from head) ), moved as ( select xid, started, staged_by,
count(*) as rows, coalesce(sum({{amount}}), 0) as amount from {{staged}} group by xid, started,
staged_by ), added as ( insert into datatransfer.log (kind, number, mark, changeset, xid, started,
staged_by, rows, amount, rows_to, amount_to, gone, gone_amount) select {{kind}}, (select number from
head) + 1, gen_random_uuid(), {tables.packed("moved")}, xid, started, staged_by, rows, amount,
coalesce((select rows_to from last), 0) + rows, coalesce((select amount_to from last), 0) + amount,
rows, amount from moved returning number ) update datatransfer.head set number = added.number from
added where kind = {{kind}}
"""

# Columns that 0.1.0 has made, of which this version has no use. It made `created_at`, too, but only
# where the table had none: it may be the vendor's, so it stays.
COLUMNS_OF_0_1_0 = ("xid", "changed_xid")
# Takes the functions, and with them the triggers; then the columns, and with them the indexes.
DROP_SCHEMA = "drop schema datatransfer cascade;"
DROP_COLUMNS = "alter table {table} {columns};"

CREATED = gettext_noop("%(table)s: created")
ADDED = gettext_noop("%(table)s: column %(column)s added")
MOVED = gettext_noop("%(table)s: the rows that existed are in the log as transferred before")
DEFAULTS = gettext_noop("%(table)s: defaults set that name the rows: %(columns)s")
GUARDED = gettext_noop("%(table)s: triggers created that keep the names of rows: %(triggers)s")
REPLACED = gettext_noop("Functions and rights of the schema datatransfer set: %(names)s")
COMPLETE = gettext_noop("%(table)s: nothing was missing")


class Checks(Protocol):
    """What `Identity` can check of a staging table."""

    def check_table(self, kind: Kind) -> None: ...

    def check_staging(self, kind: Kind) -> None: ...

    def check_types(self, kind: Kind) -> None: ...

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
        self.indexes = Indexes(database)

    def initialise(self) -> list[Step]:
        """Add what is missing and keep the rest; all tables or none, then the indexes.

        Raises SHOP_ALL_OF_0_1_0, STAGING_TABLE_FOREIGN, STAGING_TABLE_PARTITIONED, TABLE_UNLOGGED;
        STAGING_TABLE_CHANGED; IDS_REPEATED; ROWS_UNDECIDED when a table without our columns has
        rows and `existing_moved` is not given; NAME_TAKEN; WrongColumns when an existing column has
        another type.
        """
        steps: dict[str, list[Step]] = {}
        with self.database.transaction():
            self.database.limit_statements(None)
            self._check_version()
            for kind in self.kinds:
                self.checks.check_table(kind)
            self.database.execute(tables.CREATE)
            replaced = self._replace_functions()
            for kind in self.kinds:
                names = {"kind": sql.Literal(kind.name), "staging": sql.Literal(kind.staging)}
                self.database.execute(sql.SQL(tables.ADD_HEAD).format(**names))
                self.checks.check_staging(kind)
                steps[kind.name] = self._initialise(kind)
                self.checks.check_columns(kind)
            self.checks.check_guards(self.guards)
        for kind in self.kinds:
            steps[kind.name] += self.indexes.index_lookups(kind)
            if not steps[kind.name]:
                steps[kind.name] = [Step(COMPLETE, {"table": kind.staging})]
        return replaced + list(chain.from_iterable(steps.values()))

    def _check_version(self) -> None:
        """Refuse what 0.1.0 has made, with the SQL that removes it. Raises SHOP_ALL_OF_0_1_0."""
        has_tables = bool(self.database.rows(tables.OF_0_1_0))
        parts = [DROP_SCHEMA] if has_tables else []
        for kind in self.kinds:
            existing = self._existing(kind)
            if "xid" in existing and "started" not in existing:
                columns = sql.SQL(", ").join(
                    sql.SQL("drop column {}").format(sql.Identifier(name))
                    for name in COLUMNS_OF_0_1_0
                    if name in existing
                )
                drop = sql.SQL(DROP_COLUMNS).format(table=kind.staging_table, columns=columns)
                parts.append(drop.as_string(self.database.connection))
        if parts:
            raise TransferError(SHOP_ALL_OF_0_1_0, script="\n".join(["begin;", *parts, "commit;"]))

    def _existing(self, kind: Kind) -> set[str]:
        """Return the names of the columns of the staging table; none if there is no table."""
        return {row[0] for row in self.database.rows(COLUMNS, [kind.staging_table])}

    def _replace_functions(self) -> list[Step]:
        """Make functions and take rights, where they are not those of this version."""
        names = [f"datatransfer.{name}()" for name in self.guards.differing_functions()]
        names += self.guards.too_many_rights()
        if not names:
            return []
        self.database.execute("\n".join([RIGHTS, CREATE_FUNCTIONS]))
        return [Step(REPLACED, {"names": ", ".join(names)})]

    def _initialise(self, kind: Kind) -> list[Step]:
        """Make the table with its columns, then the index of row names, then the triggers."""
        steps = self._create_columns(kind)
        self.checks.check_types(kind)
        steps += self.indexes.index_row_names(kind)
        named = {"table": kind.staging}
        if columns := self.guards.differing_defaults(kind):
            for statement in set_defaults(kind, columns):
                self.database.execute(statement)
            steps.append(Step(DEFAULTS, named | {"columns": ", ".join(columns)}))
        if triggers := self.guards.differing_triggers(kind):
            for trigger in triggers:
                self.database.execute(trigger.create(kind.staging_table))
            names = ", ".join(trigger.name for trigger in triggers)
            steps.append(Step(GUARDED, named | {"triggers": names}))
        return steps

    def _create_columns(self, kind: Kind) -> list[Step]:
        """Create the table, or add the columns that it lacks."""
        existing = self._existing(kind)
        columns = {
            name: kind.shop_all.created_as(column)
            for column, name in kind.shop_all.names(kind.columns).items()
        } | OURS
        missing = {name: type_ for name, type_ in columns.items() if name not in existing}
        if not existing:
            self._change_table(kind, CREATE, "{} {}", columns)
            return [Step(CREATED, {"table": kind.staging})]
        if "xid" in missing and (taken := sorted(existing & OURS.keys() - {"id"})):
            # The vendor's own columns with names of ours: a writer may fill them in.
            raise TransferError(NAME_TAKEN, table=kind.quoted_staging, columns=", ".join(taken))
        self._check_decided(kind, missing)
        self._check_ids(kind, existing)
        if not missing:
            return []
        self._change_table(kind, ADD_COLUMNS, "add column {} {}", missing)
        self._check_decided(kind, missing)  # writers have committed, and now wait for us
        steps = [Step(ADDED, {"table": kind.staging, "column": name}) for name in missing]
        if "xid" in missing and self.existing_moved and self._has_rows(kind):
            # All of them are gone in the log: no server is sent them.
            statement = sql.SQL(LOG_AS_MOVED).format(
                kind=sql.Literal(kind.name), amount=sql.SQL(kind.amount), staged=kind.staged
            )
            self.database.execute(statement)
            steps.append(Step(MOVED, {"table": kind.staging}))
        return steps

    def _check_decided(self, kind: Kind, missing: Collection[str]) -> None:
        """Raise ROWS_UNDECIDED if there are rows, and nobody said whether they were moved."""
        if "xid" in missing and self.existing_moved is None and self._has_rows(kind):
            raise TransferError(ROWS_UNDECIDED, table=kind.quoted_staging)

    def _has_rows(self, kind: Kind) -> bool:
        """Return whether the table has rows; also if we may not look."""
        query = sql.SQL(HAS_ROWS).format(table=kind.staging_table)
        return not self._may_read(kind) or bool(self.database.value(query))

    def _may_read(self, kind: Kind) -> bool:
        return bool(self.database.value(MAY_READ, [kind.staging_table]))

    def _check_ids(self, kind: Kind, existing: set[str]) -> None:
        """Raise IDS_REPEATED where rows of one transaction have the same id, or none.

        Rows without our columns will all be of one transaction. Nothing is read where the unique
        index exists; where we may not read, the index will refuse such rows.
        """
        if "id" not in existing or self.indexes.has_row_name(kind) or not self._may_read(kind):
            return
        row = sql.SQL("coalesce(line, id)" if "line" in existing else "id")
        transaction = [sql.Identifier(name) for name in ("xid", "started") if name in existing]
        query = sql.SQL(REPEATED).format(
            id=row, table=kind.staging_table, name=sql.SQL(", ").join([*transaction, row])
        )
        ids, repeated, missing = self.database.only_row(query)
        if repeated or missing:
            raise TransferError(
                IDS_REPEATED,
                table=kind.quoted_staging,
                repeated=str(repeated),
                missing=str(missing),
                ids=", ".join(ids) or "-",
            )

    def _change_table(
        self, kind: Kind, statement: str, column: str, columns: dict[str, str]
    ) -> None:
        """Run a statement over columns: their names and how each is created."""
        parts = [
            sql.SQL(column).format(sql.Identifier(name), sql.SQL(type_))
            for name, type_ in columns.items()
        ]
        joined = sql.SQL(", ").join(parts)
        self.database.execute(sql.SQL(statement).format(table=kind.staging_table, columns=joined))
