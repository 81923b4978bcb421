"""A table of others in a statement, which each connection names with its schema."""

from typing import Any, Protocol, runtime_checkable

from psycopg2 import sql
from psycopg2.extensions import (
    ISQLQuote,
    QuotedString,
    connection as PlainConnection,
    quote_ident,
)


@runtime_checkable
class FindsTables(Protocol):
    """A connection that knows the tables of its role: see `postgres.connection`."""

    def table_name(self, name: str) -> str: ...


class TableName(sql.Composable):
    """The table that the role's own path finds: `"public"."asset"`.

    It can be part of a composed statement, or a parameter, for `to_regclass(%s)`.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def as_string(self, context: Any) -> str:
        """Asks the database at first. `context` is the connection, or a cursor of it.

        A connection that is not one of the engine's has its role's path, and finds the bare name.
        """
        connection = context if isinstance(context, PlainConnection) else context.connection
        if isinstance(connection, FindsTables):
            return connection.table_name(self.name)
        return quote_ident(self.name, connection)

    def __conform__(self, protocol: Any) -> "Parameter | None":
        return Parameter(self) if protocol is ISQLQuote else None


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
