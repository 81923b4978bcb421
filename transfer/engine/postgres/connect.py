"""Opens connections to the databases outside, and says why one cannot be opened."""

import re
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from typing import Any

import psycopg2
from psycopg2.extensions import PYDATETIMETZ, make_dsn, new_type, parse_dsn, register_type

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
from transfer.engine.postgres.answer_size import ANSWER_BYTES, AnswerTooBig
from transfer.engine.postgres.connection import Connection, name_of
from transfer.engine.postgres.deadline import Limits
from transfer.errors import ConnectionLost, Unreachable
from transfer.parties import SHOP_ALL, Party

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
