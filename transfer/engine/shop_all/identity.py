"""Checks that shop All is the database that a transfer expects: its identity and staging tables."""

from typing import NoReturn
from uuid import UUID

from transfer.causes.connections import ANSWER_INVALID
from transfer.causes.tables import (
    NOT_INITIALISED,
    STAGING_TABLE_CHANGED,
    STAGING_TABLE_FOREIGN,
    STAGING_TABLE_PARTITIONED,
    TABLE_UNLOGGED,
    WRONG_COLUMNS,
)
from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database
from transfer.engine.postgres.relations import COLUMNS
from transfer.engine.shop_all.schema.rights import Guards
from transfer.engine.shop_all.schema.tables import NOT_NULL, TYPES
from transfer.errors import TransferError, WrongColumns

# Whether our table of the identity exists. By the catalogue, as all but the next.
HAS_ORIGIN = "select to_regclass('datatransfer.origin')"
# The identity of this database: one row. As text: a changed table may have any type.
ORIGIN = "select left(origin::text, 100) from datatransfer.origin limit 2"

# The table whose changesets are in the log. By the primary key.
STAGING = "select staging from datatransfer.head where kind = %s limit 2"

# What the relation is, whether its rows are partly in other tables, or are those of another, and
# whether a crash of the server would empty it.
ABOUT = """
    select relkind::text,
           relkind = 'p' or relispartition
           or exists (select from pg_inherits where oid in (inhparent, inhrelid)),
           relpersistence = 'u'
      from pg_class where oid = to_regclass(%s) limit 1
"""

# Unique keys of a table: name of the index, and its columns, null in place of an expression.
UNIQUE_KEYS = """
    select indexrelid::regclass::text,
           array(select attname::text
                   from unnest(indkey::int2[]) with ordinality as one (number, place)
                   left join pg_attribute on attrelid = indrelid and attnum = number
                                         and number > 0
                  where place <= indnkeyatts order by place)
      from pg_index
     where indrelid = to_regclass(%s) and (indisunique or indisexclusion)
     order by 1
"""


class Identity:
    """Reads the identity of shop All, and refuses staging tables that do not fit."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._has_origin = False  # once the table exists, it stays

    def origin(self) -> str:
        """Return the identity of this staging database.

        Raises NOT_INITIALISED; ANSWER_INVALID, since our own database and the bonus servers would
        have to store it.
        """
        self._has_origin = self._has_origin or bool(self.database.value(HAS_ORIGIN))
        rows = self.database.rows(ORIGIN) if self._has_origin else []
        if not rows:
            raise TransferError(NOT_INITIALISED, missing="datatransfer.origin")
        try:
            ((origin,),) = rows
            return str(UUID(origin))
        except (ValueError, TypeError, AttributeError):
            raise TransferError(
                ANSWER_INVALID, party=self.database.party, what="datatransfer.origin: origin"
            ) from None

    def is_ordinary(self, kind: Kind) -> bool:
        """Return whether the staging table exists as one that `check_table` does not refuse."""
        return self.database.rows(ABOUT, [kind.staging_table]) == [("r", False, False)]

    def check_table(self, kind: Kind) -> None:
        """Refuse what is no ordinary table, and one whose rows are partly in others.

        Raises STAGING_TABLE_FOREIGN, STAGING_TABLE_PARTITIONED, TABLE_UNLOGGED. A table that is
        missing is none of them.
        """
        for relation, is_divided, is_unlogged in self.database.rows(ABOUT, [kind.staging_table]):
            if is_divided:
                raise TransferError(STAGING_TABLE_PARTITIONED, table=kind.quoted_staging)
            if relation != "r":
                raise TransferError(STAGING_TABLE_FOREIGN, table=kind.quoted_staging)
            if is_unlogged:
                raise TransferError(
                    TABLE_UNLOGGED, party=self.database.party, table=kind.quoted_staging
                )

    def check_columns(self, kind: Kind) -> None:
        """Compare the table with what binary COPY, and the names of rows, need.

        Raises what `check_staging`, `check_types` and `check_naming` raise.
        """
        self.check_staging(kind)
        self.check_types(kind)
        self.check_naming(kind)

    def check_naming(self, kind: Kind) -> None:
        """Compare what gives each row of the table its name, and keeps writers from another one.

        Raises NOT_INITIALISED when a trigger is missing, WrongColumns when a default differs.
        """
        guards = Guards(self.database, [kind])
        if names := guards.differing_defaults(kind):
            self._refuse(kind, [f"{name} default" for name in names])
        for trigger in guards.differing_triggers(kind):
            raise TransferError(
                NOT_INITIALISED, missing=f"trigger {trigger.name} on {kind.quoted_staging}"
            )

    def check_staging(self, kind: Kind) -> None:
        """See `check_staging` below: raises STAGING_TABLE_CHANGED."""
        check_staging(self.database, kind)

    def check_types(self, kind: Kind) -> None:
        """Compare the columns alone: whether they exist, their types, and which are not null.

        Raises NOT_INITIALISED, WrongColumns, and what `check_table` raises.
        """
        columns = {
            name: about for name, *about in self.database.rows(COLUMNS, [kind.staging_table])
        }
        if not columns:
            raise TransferError(NOT_INITIALISED, missing=kind.quoted_staging)
        self.check_table(kind)
        mapping = kind.shop_all
        expected = {name: mapping.types(one) for one, name in mapping.names(kind.columns).items()}
        expected |= TYPES
        for name in expected:
            if name not in columns:
                raise TransferError(NOT_INITIALISED, missing=f"{kind.quoted_staging}.{name}")
        ours = {name: one for one, name in mapping.names(kind.columns).items()}
        problems = []
        for name, types in expected.items():
            type_, *_, labels = columns[name]
            of_enum = name in ours and mapping.is_enum_of_words(ours[name], labels)
            lacking = mapping.words_lacking(ours[name], labels) if name in ours else []
            if type_ not in types and not of_enum:
                problems.append(f"{name} {type_} ≠ {' / '.join(lacking or sorted(types))}")
        problems += [f"{name} null" for name in NOT_NULL if not columns[name][1]]
        if problems:
            self._refuse(kind, problems)

    def _refuse(self, kind: Kind, problems: list[str]) -> NoReturn:
        raise WrongColumns(
            WRONG_COLUMNS,
            party=self.database.party,
            table=kind.quoted_staging,
            problems="; ".join(problems),
        )

    def check_guards(self, guards: Guards) -> None:
        """Compare all that keeps writers to the rules. Raises GuardsOutdated, GuardsOfAnother."""
        guards.check()

    def unique_over_values(self, kind: Kind) -> str | None:
        """Return the name of a unique index of the staging table over values alone, if there is
        one.

        Rows that repeat values cannot be staged there: neither differences of changed rows, nor
        corrections of rejects, nor the opposites of a load that is taken back. An index with a
        column that we do not fill in, such as `id`, is none: its default tells the rows apart.
        """
        values = {*kind.shop_all.names(kind.columns).values(), *kind.shop_all.fixed, None}
        for index, columns in self.database.rows(UNIQUE_KEYS, [kind.staging_table]):
            if values.issuperset(columns):
                return str(index)
        return None


def check_staging(database: Database, kind: Kind) -> None:
    """Raise STAGING_TABLE_CHANGED where the log has the changesets of another table.

    One transaction may have rows in both, and then they have the same name.
    """
    for (before,) in database.rows(STAGING, [kind.name]):
        if before != kind.staging:
            raise TransferError(STAGING_TABLE_CHANGED, now=kind.staging, before=before)
