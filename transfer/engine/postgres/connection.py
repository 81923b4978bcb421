"""A connection whose steps have limits of time and bytes, and which trusts no schema of others.

A role that may create functions, operators or types in a schema of our role's `search_path` could
put them in place of those of PostgreSQL that our statements mean (CVE-2018-1058). So the session's
path is pinned to SAFE_PATH. The vendor's tables are found by the role's own path, once, and are
named with their schema from then on: see `engine/table_name.py`.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from time import monotonic
from typing import Any

import psycopg2
from psycopg2.extensions import (
    connection as PlainConnection,
    cursor as PlainCursor,
    parse_dsn,
    quote_ident,
)

from transfer.engine.postgres.answer_size import (
    AnswerTooBig,
    ByteLimit,
    CopiedRows,
    OpeningLimit,
    number_of,
)
from transfer.engine.postgres.deadline import Deadline, Limit, Limits, Overdue
from transfer.engine.table_name import FindsTables

SAFE_PATH = "pg_catalog, pg_temp"
# Lets the session find names in these schemas alone.
PIN = f"set search_path = {SAFE_PATH}"
# Ends all that a session has: temporary tables, locks, prepared statements, settings.
DISCARD = "discard all"
# Lets the server end the session after so many milliseconds in which nothing is asked. No run has
# it then, and `pg_stat_activity` says so.
LEAVE_IDLE = "set idle_session_timeout = %s; set application_name = 'dtadmin idle'"
# Begins the next use of such a session: what `connect` and `pin_path` set up, and DISCARD ends.
# psycopg2 reads dates in this form alone, and sets it up where the role has another.
GO_ON = f"{PIN}; set datestyle = iso; reset idle_session_timeout; set application_name = %s"
# The schemas of the role's own path.
OWN_PATH = "select pg_catalog.current_schemas(false)::pg_catalog.text[]"
# The first of these schemas that has the relation. By the catalogue.
SCHEMA_OF = """
    select nspname from unnest(%s::text[]) with ordinality as path (name, place)
      join pg_namespace on nspname = path.name
      join pg_class on relnamespace = pg_namespace.oid and relname = %s
     order by place limit 1
"""
# The enum that a column of a table has, with its schema. By the catalogue.
ENUM_OF = """
    select nspname, typname
      from pg_attribute join pg_type on pg_type.oid = atttypid
      join pg_namespace on pg_namespace.oid = typnamespace
     where attrelid = to_regclass(%s) and attname = %s and typtype = 'e'
"""


def name_of(purpose: str) -> str:
    """What `pg_stat_activity` shows of a session; PostgreSQL cuts it off here, too."""
    return f"dtadmin {purpose}"[:63]


class Connection(FindsTables, PlainConnection):
    """A connection of psycopg2 whose steps have a deadline, and a limit of what they bring."""

    _line: socket.socket | None = None  # to the same server as psycopg2's own

    def __init__(self, dsn: str, *arguments: Any, **options: Any) -> None:
        self.limits = Limits()
        # Of each statement, until the transaction ends; None: it may take any time.
        self.statement_seconds: float | None = self.limits.statement
        self.ends_at = inf  # by the clock `monotonic`: for all statements together
        self.schemas: list[str] = []  # of the role's own path
        self._found: dict[str, str] = {}
        self._enums: dict[tuple[str, str], str | None] = {}
        self._deadline: Deadline | None = None
        self._opening = OpeningLimit(parse_dsn(dsn).get("port", "5432"))
        with self._within(self.limits.connect, self._opening):
            super().__init__(dsn, *arguments, **options)
        self.cursor_factory = Cursor
        # Of our own: psycopg2 may close its own at any time, and another file get its number.
        self._line = socket.socket(fileno=os.dup(self.fileno()))
        OpeningLimit.used.add(number_of(self._line))

    def __del__(self) -> None:
        """One that is left open, as in the pool when the process ends."""
        self._close_line()

    def _close_line(self) -> None:
        if self._line is not None and self._line.fileno() >= 0:
            OpeningLimit.used.discard(number_of(self._line))
            self._line.close()

    def limit(self, limits: Limits) -> None:
        self.limits = limits
        self.statement_seconds = limits.statement

    def hang_up(self) -> bool:
        """Shuts the socket, from any thread: what is under way fails, and the server rolls it back.

        False while libpq is still connecting, which it ends by itself, unless it gets too much.
        """
        with suppress(OSError, psycopg2.Error):  # closed already
            if self._line is not None:
                self._line.shutdown(socket.SHUT_RDWR)
            elif (number := self.fileno()) >= 0:
                with socket.socket(fileno=os.dup(number)) as line:
                    line.shutdown(socket.SHUT_RDWR)
            else:
                return self._opening.shut()
        return True

    def pin_path(self) -> None:
        """Notes the role's own path, and lets the session use SAFE_PATH instead."""
        self.set_session(autocommit=True)
        with self.cursor() as cursor:
            cursor.execute(OWN_PATH)
            ((self.schemas,),) = cursor.fetchall()
            cursor.execute(PIN)
        self.set_session(autocommit=False)

    @property
    def vendors_path(self) -> str:
        """What his triggers may need. Names of PostgreSQL come first, and temporary ones last."""
        own = (quote_ident(name, self) for name in self.schemas if name != "pg_catalog")
        return ", ".join(["pg_catalog", *own, "pg_temp"])

    def table_name(self, name: str) -> str:
        """The table as a statement names it, with its schema; a missing one as it will be made."""
        if (found := self._found.get(name)) is not None:
            return found
        with self.cursor() as cursor:
            cursor.execute(SCHEMA_OF, [self.schemas, name])
            rows = cursor.fetchall()
        schemas = [schema for (schema,) in rows] or self.schemas[:1]
        full = ".".join(quote_ident(one, self) for one in [*schemas, name])
        if rows:
            self._found[name] = full
        return full

    def enum_of(self, table: str, column: str) -> str | None:
        """The enum that a column has, as a statement names it; None if it has another type."""
        if (table, column) not in self._enums:
            with self.cursor() as cursor:
                cursor.execute(ENUM_OF, [table, column])
                found = cursor.fetchall()
            names = [".".join(quote_ident(part, self) for part in row) for row in found]
            self._enums[table, column] = names[0] if names else None
        return self._enums[table, column]

    @contextmanager
    def _within(self, seconds: float, limit: Limit | None = None) -> Iterator[None]:
        """Raises Overdue or AnswerTooBig when the block had to be cut."""
        limit = limit or ByteLimit(self._line)
        before, deadline = self._deadline, Deadline(seconds, self.hang_up, limit)
        self._deadline = deadline
        deadline.run()
        try:
            yield
        except (psycopg2.Error, SystemError, OSError):
            deadline.pause()  # waits for the watchdog, which may be at it
            if deadline.is_too_big:
                raise AnswerTooBig from None
            if deadline.has_passed:
                raise Overdue(deadline.seconds) from None
            raise
        finally:
            deadline.pause()
            self._deadline = before

    @contextmanager
    def statement(self) -> Iterator[ByteLimit]:
        """Cuts what takes longer, or answers more, than a statement may; yields the limit of bytes.

        An answer that has arrived before the watchdog looked is refused, too.
        """
        seconds = inf
        if self.statement_seconds is not None:
            left = min(self.statement_seconds, self.ends_at - monotonic())
            seconds = max(0.0, left) + self.limits.grace
        limit = ByteLimit(self._line)
        with self._within(seconds, limit):
            yield limit
            if limit.counts and limit.is_passed():
                self.hang_up()
                raise AnswerTooBig

    @contextmanager
    def waits_for_us(self) -> Iterator[None]:
        """Does not count the time within, in which the server waits for us."""
        deadline = self._deadline
        if deadline is None:
            yield
            return
        deadline.pause()
        try:
            yield
        finally:
            deadline.run()

    def commit(self) -> None:
        """The server's `statement_timeout` does not count what a commit waits for."""
        with self._within(self.limits.statement + self.limits.grace):
            super().commit()
        self.statement_seconds = self.limits.statement

    def rollback(self) -> None:
        with self._within(self.limits.end):
            super().rollback()
        self.statement_seconds = self.limits.statement

    def clear(self, idle_seconds: int) -> None:
        """Makes the session as if it had just begun; the server ends it once it has been idle for
        so many seconds. The caller has rolled back.

        Tables are looked up again. The role's own path is as it was when the session was opened.
        """
        self._found.clear()
        self._enums.clear()
        with self._within(min(self.limits.end, self.ends_at - monotonic())):
            self.set_session(isolation_level="DEFAULT", readonly="DEFAULT", deferrable="DEFAULT")
            self.set_session(autocommit=True)
            with self.cursor() as cursor:
                cursor.execute(DISCARD)
                cursor.execute(LEAVE_IDLE, [idle_seconds * 1000])

    def go_on(self, purpose: str) -> None:
        """Begins the next use of a session that was cleared, under the name of this purpose."""
        with self._within(min(self.limits.end, self.ends_at - monotonic())):
            self.statement_seconds = self.limits.statement
            with self.cursor() as cursor:
                cursor.execute(GO_ON, [name_of(purpose)])
            self.set_session(autocommit=False)

    def set_session(self, *arguments: Any, **options: Any) -> None:
        with self._within(self.limits.end):
            super().set_session(*arguments, **options)

    def close(self) -> None:
        try:
            with self._within(self.limits.end):
                super().close()
        finally:
            self._close_line()


class Cursor(PlainCursor):
    """Its statements have the limits of their connection."""

    connection: Connection

    def execute(self, *arguments: Any, **options: Any) -> None:
        with self.connection.statement():
            super().execute(*arguments, **options)

    def copy_expert(self, sql: Any, file: Any, *arguments: Any, **options: Any) -> None:
        """Of a COPY to a file, which takes bytes, no more than a row is in our memory."""
        with self.connection.statement() as limit:
            if hasattr(file, "write"):
                file = CopiedRows(file, limit)
            super().copy_expert(sql, file, *arguments, **options)

    def fetchmany(self, *arguments: Any, **options: Any) -> list[tuple[Any, ...]]:
        """Of a cursor with a name, asks the server for them."""
        with self.connection.statement():
            return super().fetchmany(*arguments, **options)

    def close(self) -> None:
        if self.name is None:
            super().close()
            return
        with self.connection.statement():
            super().close()
