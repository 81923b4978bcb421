"""What a table of one side calls our columns, and in which form it has our values.

A vendor's names and values come from the file of DTADMIN_TABLES (see `mapping_file`), and reach a
statement through psycopg2.sql alone. Each connection names a table with its schema.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import (
    ISQLQuote,
    QuotedString,
    connection as PlainConnection,
    quote_ident,
)

TEXT = frozenset({"text", "character varying"})
# The type tells the unit: no process with another mapping can take one for the other.
MINOR = frozenset({"bigint"})
LONGEST = 100  # characters of an account, a card or a PIN code
# A table's rows with our names and values.
ROWS = "(select {columns} from {table}) as ours"
Value = str | int


class FindsTables(ABC):
    """A connection that knows the tables of its role: see `postgres.connection`.

    A base class: each statement asks whether its connection is one, and to compare with a Protocol
    takes longer than a short statement.
    """

    @abstractmethod
    def table_name(self, name: str) -> str: ...

    @abstractmethod
    def enum_of(self, table: str, column: str) -> str | None: ...


class TableName(sql.Composable):
    """A table or a sequence with its schema: `"public"."asset"`.

    A name such as `loyalty.asset` has the schema; any other name is found by the role's own path.
    It can be part of a composed statement, or a parameter, for `to_regclass(%s)`.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    @property
    def quoted(self) -> str:
        """The name as messages have it: with the schema if the file names one."""
        return ".".join(f'"{part}"' for part in self.name.split("."))

    def as_string(self, context: Any) -> str:
        """Asks the database at first. `context` is the connection, or a cursor of it.

        A connection that is not one of the engine's has its role's path, and finds the bare name.
        """
        connection = _connection(context)
        schema, _, name = self.name.rpartition(".")
        if schema:
            return f"{quote_ident(schema, connection)}.{quote_ident(name, connection)}"
        if isinstance(connection, FindsTables):
            return connection.table_name(name)
        return quote_ident(name, connection)

    def __conform__(self, protocol: Any) -> "Parameter | None":
        return Parameter(self) if protocol is ISQLQuote else None


class EnumCast(sql.Composable):
    """Casts a text to the enum that a column of a table has; nothing for another type.

    Asks the database, as TableName does: PostgreSQL puts no text into such a column by itself.
    """

    def __init__(self, table: TableName, column: str) -> None:
        super().__init__((table.name, column))
        self.table, self.column = table, column

    def as_string(self, context: Any) -> str:
        connection = _connection(context)
        if not isinstance(connection, FindsTables):
            return ""
        type_ = connection.enum_of(self.table.as_string(context), self.column)
        return f"::{type_}" if type_ else ""


def _connection(context: Any) -> Any:
    return context if isinstance(context, PlainConnection) else context.connection


class Parameter:
    """A text: what `to_regclass` takes."""

    def __init__(self, table: TableName) -> None:
        self.table = table
        self.connection: Any = None

    def prepare(self, connection: Any) -> None:
        self.connection = connection

    def getquoted(self) -> bytes:
        quoted = QuotedString(self.table.as_string(self.connection))
        quoted.prepare(self.connection)
        return bytes(quoted.getquoted())


@dataclass(frozen=True)
class Column:
    """A data column of a staging table, and what it becomes in the bonus server's table."""

    name: str
    created_as: str  # the type that init_shop_all gives it
    types: frozenset[str]  # the types, without length, that binary COPY may read it from
    carried_as: str  # the type in `incoming`; the same bytes on the wire
    secret: bool = False

    @property
    def is_code(self) -> bool:
        """Whether it is a number or a code: text, of which each character counts."""
        return self.types == TEXT

    def named(self, value: sql.Composable) -> sql.Composed:
        """SQL: the value by our name."""
        return sql.SQL("{} as {}").format(value, sql.Identifier(self.name))


@dataclass(frozen=True, eq=False)
class TableMapping:
    """The table of a kind in shop All, or in a bonus server's database."""

    table: str
    columns: Mapping[str, str | None] = field(default_factory=dict)  # ours → its own; null: none
    is_minor: bool = False  # amounts are whole numbers, of hundredths
    words: Mapping[int, str] = field(default_factory=dict)  # card status → its word
    fixed: Mapping[str, Value] = field(default_factory=dict)  # for columns that we know nothing of
    # Columns that a sequence numbers: column → sequence.
    sequences: Mapping[str, str] = field(default_factory=dict)

    @property
    def identifier(self) -> TableName:
        return TableName(self.table)

    def further(self) -> dict[str, sql.Composable]:
        """SQL for the columns that we know nothing of: each with its value in a new row."""
        values: dict[str, sql.Composable] = {
            name: sql.Literal(value) for name, value in self.fixed.items()
        }
        numbers = {
            name: sql.SQL("pg_catalog.nextval({})").format(sql.Literal(TableName(sequence)))
            for name, sequence in self.sequences.items()
        }
        return values | numbers

    def name(self, column: Column) -> str | None:
        return self.columns.get(column.name, column.name)

    def names(self, columns: Iterable[Column]) -> dict[Column, str]:
        """The columns that the table has, with its own names for them."""
        return {one: name for one in columns if (name := self.name(one)) is not None}

    def is_in_minor_units(self, column: Column) -> bool:
        return self.is_minor and column.name == "amount"

    def is_in_words(self, column: Column) -> bool:
        return bool(self.words) and column.name == "status"

    def words_lacking(self, column: Column, labels: Sequence[str]) -> list[str]:
        """Words for statuses that an enum with these labels lacks; none if it is not an enum."""
        if not labels or not self.is_in_words(column):
            return []
        return [word for word in self.words.values() if word not in labels]

    def is_enum_of_words(self, column: Column, labels: Sequence[str]) -> bool:
        """Whether its column, an enum if there are labels, holds all words of the mapping."""
        is_enum = bool(labels) and self.is_in_words(column)
        return is_enum and not self.words_lacking(column, labels)

    def types(self, column: Column) -> frozenset[str]:
        """The types, without length, that its column may have."""
        if self.is_in_minor_units(column):
            return MINOR
        return TEXT if self.is_in_words(column) else column.types

    def created_as(self, column: Column) -> str:
        if self.is_in_minor_units(column):
            return "bigint"
        return "varchar(100)" if self.is_in_words(column) else column.created_as

    def longest(self, column: Column) -> int:
        """How many characters its column has to take."""
        return max(map(len, self.words.values())) if self.is_in_words(column) else LONGEST

    def read(self, column: Column) -> sql.Composable:
        """SQL over a row of its table: our value. A word that means no status is quoted."""
        name = self.name(column)
        if name is None:
            return sql.SQL(f"null::{column.carried_as}")
        value = sql.Identifier(name)
        if self.is_in_minor_units(column):
            return sql.SQL("{}::numeric * 0.01").format(value)
        if self.is_in_words(column):
            numbers = [(sql.Literal(word), sql.Literal(str(n))) for n, word in self.words.items()]
            return sql.SQL("case {0}::text {1} else quote_literal({0}::text) end").format(
                value, _when(numbers)
            )
        return sql.SQL("{}::integer").format(value) if column.name == "status" else value

    def write(self, column: Column, value: sql.Composable) -> sql.Composable:
        """SQL: what its table has in place of our value, which has passed the checks."""
        if self.is_in_minor_units(column):
            return sql.SQL("{} * 100::numeric").format(value)
        if self.is_in_words(column):
            words = [(sql.Literal(str(n)), sql.Literal(word)) for n, word in self.words.items()]
            cast = EnumCast(self.identifier, self.columns.get(column.name) or column.name)
            return sql.SQL("(case {}::text {} end){}").format(value, _when(words), cast)
        return sql.SQL("{}::integer").format(value) if column.name == "status" else value

    def rows(
        self,
        columns: Iterable[Column],
        *others: str,
        named: Mapping[str, sql.Composable] = MappingProxyType({}),
    ) -> sql.Composed:
        """The table with our columns by our names, and `others` of its own, as a FROM has it.

        `named`: name → expression over the table's own columns.
        """
        selected: list[sql.Composable] = [sql.Identifier(name) for name in others]
        selected += (
            sql.SQL("{} as {}").format(value, sql.Identifier(name)) for name, value in named.items()
        )
        selected += (one.named(self.read(one)) for one in columns)
        joined = sql.SQL(", ").join(selected)
        return sql.SQL(ROWS).format(columns=joined, table=self.identifier)


def _when(pairs: Iterable[tuple[sql.Composable, sql.Composable]]) -> sql.Composed:
    return sql.SQL(" ").join(sql.SQL("when {} then {}").format(*pair) for pair in pairs)
