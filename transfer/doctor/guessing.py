"""Guesses which of the vendor's tables, columns, words and sequences match ours."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from transfer.engine.bonus_server.vendor_tables import DEMANDED
from transfer.engine.kind import Kind
from transfer.engine.mapping_keys import LONGEST_NAME, NAME, VALIDITY
from transfer.engine.postgres.database import Database
from transfer.engine.postgres.relations import COLUMNS
from transfer.engine.table_mapping import MINOR, TEXT, Column, TableMapping, TableName
from transfer.parties import gettext_noop

# What others call our columns, in small letters and digits alone; the likeliest first.
ALIASES = {
    "account": ("accountnumber", "accountno", "accountnum", "accnumber"),
    "pincode": ("pin",),
    "amount": ("sum", "value"),
    "validfrom": ("begin", "begindate", "datebegin", "startdate", "datefrom", "start"),
    "validto": ("end", "enddate", "dateend", "dateto", "expires", "expiredate"),
    "comment": ("description", "note", "remark"),
    "card": ("number", "cardnumber", "cardno", "cardnum"),
    "status": ("cardstatus", "state"),
    "created_at": ("created", "date", "datetime", "createdate", "time"),
    "changed_at": ("changed", "updated", "updatedat", "modified", "lastchange", "date"),
}
# Why a column of another type is not taken.
AS_TEXT = gettext_noop(
    "has to be text, or varchar(100) or longer: numbers would lose leading zeros, and a shorter "
    "column could not hold each row"
)
WHY_NOT = {
    "comment": gettext_noop("has to be text or varchar"),
    "amount": gettext_noop(
        "has to be numeric, with two decimals and 13 digits before the point, or bigint for "
        "hundredths: another type rounds amounts, or cannot hold each one"
    ),
    "validfrom": gettext_noop(
        "has to be timestamptz: without a time zone a time means different moments"
    ),
    "validto": gettext_noop(
        "has to be timestamptz: without a time zone a time means different moments"
    ),
    "status": gettext_noop("has to be integer or smallint, or a text or an enum with mapped words"),
    "created_at": gettext_noop("has to be timestamptz, timestamp or date"),
    "changed_at": gettext_noop("has to be timestamptz, timestamp or date"),
}


def aliases(column: Column) -> tuple[str, ...]:
    """What others call the column."""
    return ALIASES.get(column.name, ())


# The tables that our role can name: schema and name, those of its own path first.
TABLES = """
    select nspname, relname from pg_class join pg_namespace on pg_namespace.oid = relnamespace
     where relkind in ('r', 'p') and has_schema_privilege(pg_namespace.oid, 'usage')
       and nspname !~ '^pg_' and nspname not in ('information_schema', 'datatransfer')
     order by array_position(%s::text[], nspname::text) nulls last, nspname, relname
"""
# Likewise for sequences.
SEQUENCES = TABLES.replace("relkind in ('r', 'p')", "relkind = 'S'")
WHOLE_NUMBERS = ("bigint", "integer", "smallint")


@dataclass(frozen=True)
class Found:
    """A column of a vendor's table."""

    type: str
    declared: str  # the type with its length
    labels: list[str]  # the labels of an enum

    @property
    def is_of_words(self) -> bool:
        return self.type in TEXT or bool(self.labels)


def columns_of(database: Database, table: str) -> dict[str, Found]:
    return {
        name: Found(type_, declared, labels)
        for name, type_, _, declared, _, labels in database.rows(COLUMNS, [TableName(table)])
    }


def named(database: Database, query: str) -> list[str]:
    """The names that the query finds, with the schema if our search path lacks it."""
    schemas = database.connection.schemas
    return [
        name if schema in schemas else f"{schema}.{name}"
        for schema, name in database.rows(query, [schemas])
        if is_name(schema) and is_name(name)
    ]


def is_name(name: str) -> bool:
    """Whether the file can name it."""
    return bool(NAME.fullmatch(name)) and len(name.encode()) <= LONGEST_NAME


def guess_table(
    kind: Kind, base: TableMapping, wanted: Collection[Column], database: Database
) -> str | None:
    """The table in the mapping, else one with a similar name, else the only one that fits."""
    tables = named(database, TABLES)
    if base.table in tables:
        return base.table
    bare = {name.rpartition(".")[2]: name for name in reversed(tables)}
    for ours in (base.table, kind.bonus_server.table):
        if (one := alike(ours.rpartition(".")[2], (), bare)) is not None:
            return bare[one]
    needed = {name for group in kind.needed for name in group}
    fitting = [
        table
        for table in tables
        if needed <= {one.name for one in guess_columns(base, wanted, columns_of(database, table))}
    ]
    return fitting[0] if len(fitting) == 1 else None


def guess_columns(
    base: TableMapping, wanted: Collection[Column], found: dict[str, Found]
) -> dict[Column, str]:
    """Maps each of our columns to a column of the table: by the mapping first, then by name."""
    names: dict[Column, str] = {}
    for column in wanted:
        left = [
            name
            for name, one in found.items()
            if name not in names.values() and is_name(name) and _may_be(column, one)
        ]
        mapped = base.name(column)
        name = mapped if mapped in left else alike(column.name, aliases(column), left)
        if name is not None:
            names[column] = name
    return names


def _may_be(column: Column, found: Found) -> bool:
    if column.name == "status" and found.is_of_words:
        return True
    return found.type in column.types | (MINOR if column.name == "amount" else frozenset())


def alike(ours: str, aliases: Iterable[str], existing: Iterable[str]) -> str | None:
    """Which of `existing` has this name, apart from capitals and signs, or an alias of it."""
    plain = {_plain(name): name for name in reversed([*existing])}
    if ours in plain.values():
        return ours
    return next((plain[one] for one in (_plain(ours), *aliases) if one in plain), None)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def guess_sequence(table: str, column: str, sequences: list[str]) -> str | None:
    """The sequence that is named after the table, as PostgreSQL or Hibernate name one."""
    bare = table.rpartition(".")[2]
    names = (f"{bare}_{column}_seq", f"{bare}_seq", f"seq_{bare}", f"{bare}_sequence", bare)
    plain = {_plain(one.rpartition(".")[2]): one for one in reversed(sequences)}
    found = [plain[one] for one in map(_plain, names) if one in plain]
    return found[0] if found else None


def may_lack(kind: Kind) -> tuple[str, ...]:
    """Our columns that a bonus server's table can do without."""
    return (*VALIDITY, "comment", kind.stamps.name)


def demanded(database: Database, table: str, known: Iterable[str]) -> dict[str, bool]:
    """Columns that each row has to fill beside the known ones; whether each is the key."""
    return dict(database.rows(DEMANDED, [TableName(table), [*known]]))
