"""A connection to a database outside, or why it cannot be opened. Its steps have limits of time and
bytes, and it trusts no schema of others.

A role that may create functions, operators or types in a schema of our role's `search_path` could
put them in place of those of PostgreSQL that our statements mean (CVE-2018-1058). So the session's
path is pinned to SAFE_PATH. The vendor's tables are found by the role's own path, once, and are
named with their schema from then on: see `engine/table_mapping.py`.
"""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from math import inf
from time import monotonic
from typing import Any

import psycopg2
from psycopg2.extensions import (
    PYDATETIMETZ,
    connection as PlainConnection,
    cursor as PlainCursor,
    make_dsn,
    new_type,
    parse_dsn,
    quote_ident,
    register_type,
)

from transfer.causes.cause import Cause
from transfer.causes.connections import (
    ANSWER_TOO_LARGE,
    DATABASE_MISSING,
    HOST_SILENT,
    HOST_UNKNOWN,
    LOGIN_REFUSED,
    PORT_CLOSED,
    TOO_MANY_CONNECTIONS,
    UNREACHABLE,
    WEAK_LOGIN,
)
from transfer.engine.postgres.answer_size import (
    ANSWER_BYTES,
    AnswerTooBig,
    ByteLimit,
    CopiedRows,
    OpeningLimit,
    number_of,
)
from transfer.engine.postgres.deadline import Deadline, Limit, Limits, Overdue
from transfer.engine.table_mapping import FindsTables
from transfer.errors import ConnectionLost, Unreachable
from transfer.parties import SHOP_ALL, Party

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
# How a connection is opened.
LOCK_SECONDS = 10
# A policy of row-level security that hides rows of shop All from our account becomes an error:
# hidden rows would never be sent, without a message. A vendor's policies are his own matter.
ALL_ROWS = "-c row_security=off "
# A peer that vanished is noticed within a minute: by us (PostgreSQL, "Connection Control
# Functions"), and by the server ("TCP Settings"), which would keep its locks for two hours.
KEEPALIVE = {
    "keepalives": 1,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
KEEPALIVE_OF_SERVER = (
    "-c tcp_keepalives_idle=20 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3 "
    "-c tcp_user_timeout=60s"
)
SCRAM = "scram-sha-256"
ANY_LOG_IN = f"none,password,md5,gss,sspi,{SCRAM}"
LOCAL = ("", "localhost", "127.0.0.1", "::1")
# libpq has no codes for why there is no connection; the server says it in a language of its own.
LONGEST_REASON = 1000  # characters: the server chooses them, and CAUSES backtrack
CAUSES: tuple[tuple[Cause, str], ...] = (
    (WEAK_LOGIN, "server requested .* password|did not complete authentication"),
    (TOO_MANY_CONNECTIONS, "too many (clients|connections)|connection slots|слишком много|слоты"),
    (DATABASE_MISSING, 'database ".*" does not exist|база данных ".*" не существует'),
    (LOGIN_REFUSED, "authentication|pg_hba|password|role |подлинности|парол|роль "),
    (HOST_UNKNOWN, "could not translate host name"),
    (PORT_CLOSED, "Connection refused|No such file or directory"),
    (HOST_SILENT, "timeout expired|no answer within"),
)
# Python's datetime knows neither infinity, nor years before Christ, nor such beyond 9999. People
# write `infinity` in SQL for "never ends".
NEVER_ENDS = datetime(MAXYEAR, 12, 31, tzinfo=UTC)
NEVER_BEGAN = datetime(MINYEAR, 1, 1, tzinfo=UTC)


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


def _moment(text: Any, cursor: Any) -> datetime | None:
    """A timestamptz; one outside Python's range becomes NEVER_ENDS or NEVER_BEGAN."""
    try:
        moment: datetime | None = PYDATETIMETZ(text, cursor)
    except (ValueError, OverflowError, psycopg2.DataError):
        moment = None
    if text is None or (moment is not None and text[-1] != "y"):  # infinity
        return moment
    return NEVER_BEGAN if text.startswith("-") or text.endswith("BC") else NEVER_ENDS


MOMENT = new_type(PYDATETIMETZ.values, "MOMENT", _moment)


def log_in(parts: dict[str, str]) -> dict[str, str]:
    """What libpq has to insist on: that a password for another machine is only sent as SCRAM.

    A program that poses as that machine could otherwise ask for the password itself. The
    `require_auth` of a DSN comes first.
    """
    hosts = ",".join(parts.get(name, "") for name in ("host", "hostaddr") if name in parts)
    is_near = all(host in LOCAL or host.startswith("/") for host in hosts.split(","))
    if is_near or not parts.get("password") or "require_auth" in parts:
        return {}
    return {"require_auth": SCRAM}


def connect(
    dsn: str, *, party: Party, purpose: str, limits: Limits, is_waited_for: bool = False
) -> Connection:
    """Opens a connection with time-outs, limits and keepalives. Raises Unreachable,
    ANSWER_TOO_LARGE.

    If a person waits for the answers, silence is noticed as soon as at a connection that is being
    opened.
    """
    keepalive, at_most = KEEPALIVE, f"{limits.statement * 1000:.0f}ms"
    options = (
        f"-c statement_timeout={at_most} -c lock_timeout={LOCK_SECONDS}s "
        f"-c idle_in_transaction_session_timeout={at_most} -c timezone=UTC "
        # psycopg2 keeps all messages of a statement: a vendor's trigger may send one for each row.
        "-c client_min_messages=error "
        f"{ALL_ROWS if party == SHOP_ALL else ''}{KEEPALIVE_OF_SERVER}"
    )
    if is_waited_for:
        keepalive = {**KEEPALIVE, "tcp_user_timeout": int(limits.connect * 1000)}
    try:
        connection = psycopg2.connect(
            make_dsn(
                dsn,
                connect_timeout=round(limits.connect),
                application_name=name_of(purpose),
                options=options,
                client_encoding="UTF8",
                **keepalive,
                **log_in(parse_dsn(dsn)),
            ),
            connection_factory=Connection,
        )
    except AnswerTooBig:
        raise ConnectionLost(
            ANSWER_TOO_LARGE, party=party, megabytes=f"{ANSWER_BYTES >> 20}"
        ) from None
    except psycopg2.OperationalError as error:
        raise unreachable(dsn, party, first_line(error), limits.connect) from None
    connection.limit(limits)
    register_type(MOMENT, connection)
    return connection


def unreachable(dsn: str, party: Party, reason: str, seconds: float) -> Unreachable:
    parts = parse_dsn(dsn)
    cause = next((one for one, words in CAUSES if re.search(words, reason)), UNREACHABLE)
    return Unreachable(
        cause,
        reason,
        party=party,
        reason=reason,
        host=parts.get("host", "localhost"),
        port=parts.get("port", "5432"),
        name=parts.get("dbname", ""),
        user=parts.get("user", ""),
        seconds=f"{seconds:g}",
    )


def first_line(error: Exception) -> str:
    """The cause alone: libpq puts where it tried to connect before it."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0][:LONGEST_REASON]
    return re.sub(r"^.*(failed|error): |FATAL:\s+", "", line).rstrip(".")


def as_django_setting(url: str) -> dict[str, Any]:
    """Return a connection as Django has it in DATABASES. Raises ProgrammingError with the URL."""
    parts = parse_dsn(url)
    named = {"connect_timeout": 5, "application_name": "dtadmin", **KEEPALIVE, **log_in(parts)}
    options = f"{KEEPALIVE_OF_SERVER} {parts.pop('options', '')}".strip()
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname", ""),
        **{name.upper(): parts.pop(name, "") for name in ("user", "password", "host", "port")},
        # A page opens no connection of its own: that takes as long as its queries.
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {**named, **parts, "options": options},
    }
