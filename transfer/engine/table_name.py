"""A table of others in a statement, which each connection names with its schema."""

from abc import ABC, abstractmethod
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import (
    ISQLQuote,
    QuotedString,
    connection as PlainConnection,
    quote_ident,
)


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
