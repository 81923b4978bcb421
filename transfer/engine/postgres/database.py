"""A connection to a database outside: its transactions, limits and statements, and its errors as
our own.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from math import inf
from time import monotonic
from typing import Any, ClassVar, Self

import psycopg2
from psycopg2 import errors

from transfer.causes.connections import (
    ANSWER_INVALID,
    ANSWER_OVERDUE,
    ANSWER_TOO_LARGE,
    CONNECTION_LOST,
    QUERY_FAILED,
    TOO_MANY_ROWS,
    TOO_SLOW,
)
from transfer.engine import events
from transfer.engine.postgres.answer_size import ANSWER_BYTES, MOST_ROWS, AnswerTooBig, limited
from transfer.engine.postgres.connection import SAFE_PATH, Connection, connect, first_line
from transfer.engine.postgres.deadline import Limits, Overdue
from transfer.errors import ConnectionLost, QueryFailed, TooSlow, TransferError
from transfer.parties import Party

# psycopg2's words when a COPY breaks with its connection; none of them is a class of its own.
BROKEN_COPY = ("invalid socket", "no COPY in progress", "PGRES_COPY", "unexpected message")
# Settings of a session, or of a transaction (`local`).

# Hidden rows would count as moved: a policy that hides some becomes an error.
ALL_ROWS = "set local row_security = off"
# Ends a statement that takes so many milliseconds; 0: none.
LIMIT_STATEMENT = "set local statement_timeout = %s"
# Never ends the session because it waits within a transaction.
STAY_IDLE = "set local idle_in_transaction_session_timeout = 0"
# Lets statements take any time, but wait for locks no longer than so many milliseconds.
LIMIT_LOCKS_ALONE = "set statement_timeout = 0; set lock_timeout = %s"
# Sets both as they were when the session began.
RESET_LIMITS = "reset statement_timeout; reset lock_timeout"
# Finds names by the role's own path. Deferred triggers fire here, and not at the commit, under
# another path.
VENDORS_PATH = "set constraints all immediate; set local search_path = {path}"
# Finds names in PostgreSQL's own schema, and temporary tables.
OUR_PATH = f"set local search_path = {SAFE_PATH}"
Explain = Callable[[psycopg2.Error], TransferError | None]


def in_our_words(error: psycopg2.Error, party: Party, *, secret: bool) -> TransferError:
    """A ConnectionLost, ANSWER_OVERDUE, ANSWER_TOO_LARGE, TooSlow or QueryFailed of the database
    `party`.

    PostgreSQL quotes values in the details, which are never taken over; with `secret`, not even
    the message is.
    """
    condition = type(error).__name__
    message = "" if secret else error.diag.message_primary or first_line(error)
    technical = " ".join(filter(None, [error.pgcode, condition, message]))
    if isinstance(error, AnswerTooBig):
        return ConnectionLost(
            ANSWER_TOO_LARGE, technical, party=party, megabytes=f"{ANSWER_BYTES >> 20}"
        )
    if isinstance(error, Overdue):
        return ConnectionLost(
            ANSWER_OVERDUE, technical, party=party, seconds=f"{error.seconds:.3g}"
        )
    if isinstance(error, errors.QueryCanceled | errors.LockNotAvailable):
        return TooSlow(TOO_SLOW, technical, party=party, reason=message or condition)
    if is_broken(error):
        return ConnectionLost(CONNECTION_LOST, technical, party=party)
    return QueryFailed(QUERY_FAILED, technical, party=party, reason=message or condition)


def is_broken(error: psycopg2.Error) -> bool:
    """Whether the connection is gone, not merely the statement refused."""
    if error.pgcode is None:
        return isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError) or any(
            words in str(error) for words in BROKEN_COPY
        )
    # Class 08: connection exceptions. 57P0x: shut down by an administrator or a crash.
    return error.pgcode.startswith(("08", "57P0"))


def array(values: Iterable[int | Decimal | str]) -> str:
    """Return the text of an array, to be cast: of numbers or UUIDs, which need no quotes.

    psycopg2 writes a list as a constructor, whose elements PostgreSQL parses as one expression
    each: that takes ten times as long.
    """
    return f"{{{','.join(map(str, values))}}}"


class Database:
    """One connection to a database outside, opened at first use.

    `party` is what errors call it, `purpose` what `pg_stat_activity` shows. With `secret`,
    error texts are left out, since they may quote a PIN code. With `seconds`, all transactions
    together take no longer: then the server stops the statement, and TooSlow is raised. A server
    that does not even do that has its connection cut, and ANSWER_OVERDUE is raised. Likewise, and
    with ANSWER_TOO_LARGE, one that answers more than `answer_size.py` allows. `explain` may turn an
    error of PostgreSQL into a more telling one than QueryFailed.
    """

    limits: ClassVar[Limits] = Limits()

    def __init__(
        self,
        dsn: str,
        party: Party,
        purpose: str,
        *,
        secret: bool,
        seconds: float | None = None,
        explain: Explain = lambda error: None,
    ) -> None:
        self.dsn = dsn
        self.party = party
        self.purpose = purpose
        self.secret = secret
        self.seconds = seconds
        self._explain = explain
        self._began = monotonic()
        self._connection: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The name of the bonus server; "" for another database."""
        return self.party.name

    @property
    def ends_at(self) -> float:
        """When its seconds are over, by the clock `monotonic`."""
        return inf if self.seconds is None else self._began + self.seconds

    @property
    def is_waited_for(self) -> bool:
        """Whether it has no more than some seconds: then a person, or the next look, waits."""
        return self.seconds is not None

    @property
    def connection(self) -> Connection:
        """Raises Unreachable."""
        if self._connection is not None:
            return self._connection
        opened = connect(
            self.dsn,
            party=self.party,
            purpose=self.purpose,
            limits=self.limits,
            is_waited_for=self.is_waited_for,
        )
        self.take_over(opened)
        try:
            with self.explained():
                opened.pin_path()
        except TransferError:
            self.close()
            raise
        return opened

    def take_over(self, connection: Connection) -> None:
        """Uses one that is open."""
        connection.ends_at = self.ends_at
        self._connection = connection

    def hand_over(self) -> Connection | None:
        """The connection, if there is one: it is no longer ours to close."""
        connection, self._connection = self._connection, None
        return connection

    def swap(self, other: Self) -> None:
        """Exchanges its connection for that of another one to the same database."""
        self._connection, other._connection = other._connection, self._connection

    def close(self) -> None:
        """Ends the session, which undoes all that it had not committed."""
        if connection := self.hand_over():
            with suppress(psycopg2.Error):  # it was broken already, which is as good as closed
                connection.close()

    @contextmanager
    def transaction(self, *, commit: bool = True) -> Iterator[None]:
        """Commits at the end; rolls back on any error, or at the end without `commit`."""
        with self.explained():
            connection = self.connection
            try:
                if self.seconds is not None:
                    left = self.ends_at - monotonic()
                    if left <= 0:
                        raise TooSlow(TOO_SLOW, party=self.party, reason=f"> {self.seconds:g} s")
                    self.limit_statements(left)
                yield
                if commit:
                    connection.commit()
            finally:
                self.roll_back()

    @contextmanager
    def snapshot(self, *first: str) -> Iterator[None]:
        """A read-only transaction whose statements all see the same rows, from the first query on.

        A row-level policy that would hide rows is an error: hidden rows would count as moved. The
        statements `first`, which are no queries, come before.
        """
        with self.explained():
            self.connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        try:
            with self.transaction(commit=False):
                # In one message. PostgreSQL takes the snapshot for the first that needs one.
                self.execute("; ".join([ALL_ROWS, *first]))
                yield
        finally:
            if self._connection is not None and not self._connection.closed:
                self._connection.set_session(isolation_level="DEFAULT", readonly="DEFAULT")

    @contextmanager
    def without_transaction(self) -> Iterator[None]:
        """Lets each statement commit by itself, without a limit of time but for locks."""
        with self.explained():
            connection = self.connection
            connection.set_session(autocommit=True)
            try:
                self.execute(LIMIT_LOCKS_ALONE, [self.limits.statement * 1000])
                connection.statement_seconds = None
                yield
                connection.statement_seconds = self.limits.statement
                self.execute(RESET_LIMITS)
            finally:
                if not connection.closed:
                    connection.set_session(autocommit=False)

    def limit_statements(self, seconds: float | None) -> None:
        """Until the transaction ends, a statement may take so many seconds; None: any time."""
        at_most = 0 if seconds is None else max(1, int(seconds * 1000))
        self.execute(LIMIT_STATEMENT, [at_most])
        self.connection.statement_seconds = seconds

    def may_wait(self) -> None:
        """Until the transaction ends, the server keeps the session for as long as it is idle."""
        self.execute(STAY_IDLE)

    @contextmanager
    def vendors_path(self) -> Iterator[None]:
        """Lets statements within, and the triggers that they fire, find names by the role's own
        path, which may belong to others. So all arguments have exactly the type that PostgreSQL's
        own function or operator takes, or it is named with its schema.
        """
        self.execute(VENDORS_PATH.format(path=self.connection.vendors_path))
        yield
        self.execute(OUR_PATH)

    @contextmanager
    def waits_for_us(self) -> Iterator[None]:
        """The server is not overdue while it waits for what we do within."""
        with self.connection.waits_for_us():
            yield

    def commit(self) -> None:
        """Commits what was done outside `transaction`."""
        with self.explained():
            self.connection.commit()

    def roll_back(self) -> None:
        """Undoes what was not committed; a broken connection has undone it already."""
        try:
            if self._connection is not None:
                self._connection.rollback()
        except psycopg2.Error:
            self.close()

    def hang_up(self) -> None:
        """Breaks off what another thread has under way; the server rolls it back."""
        if self._connection is not None:
            self._connection.hang_up()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turns psycopg2's errors within into ours.

        Raises ConnectionLost, TooSlow or QueryFailed: see `in_our_words`.
        """
        try:
            yield
        except psycopg2.Error as error:
            ours = self._explain(error) or in_our_words(error, self.party, secret=self.secret)
            if ours.cause in (CONNECTION_LOST, ANSWER_OVERDUE):
                self._tell_lost(ours)
            raise ours from None
        except (SystemError, BrokenPipeError) as error:
            # What psycopg2 raises when the socket goes away under a COPY.
            lost = ConnectionLost(CONNECTION_LOST, type(error).__name__, party=self.party)
            self._tell_lost(lost)
            raise lost from error

    def _tell_lost(self, error: TransferError) -> None:
        events.tell(
            events.CONNECTION_LOST,
            database=self.party.saved,
            purpose=self.purpose,
            code=error.code,
        )

    def execute(self, statement: Any, parameters: Any = None) -> int:
        """Runs a statement and returns its row count."""
        with self.explained(), self.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.rowcount

    def rows(
        self, statement: Any, parameters: Any = None, *, most: int = MOST_ROWS
    ) -> list[tuple[Any, ...]]:
        """All rows of a query. Raises TOO_MANY_ROWS where there are more than `most`."""
        with self.explained(), self.connection.cursor() as cursor:
            cursor.execute(limited(statement, most + 1, cursor), parameters)
            if cursor.rowcount > most:
                raise TransferError(TOO_MANY_ROWS, party=self.party, rows=most)
            return cursor.fetchall()

    def only_row(self, statement: Any, parameters: Any = None) -> tuple[Any, ...]:
        """The only row of a query. Raises ANSWER_INVALID where a changed table yields another
        number of rows.
        """
        with self.explained(), self.connection.cursor() as cursor:
            cursor.execute(limited(statement, 2, cursor), parameters)
            if cursor.rowcount != 1:
                raise TransferError(
                    ANSWER_INVALID, party=self.party, what="> 1" if cursor.rowcount > 1 else "0 ≠ 1"
                )
            (row,) = cursor.fetchall()
            return row

    def stream(
        self, name: str, statement: Any, values: Any = None, *, at_once: int = 5000
    ) -> Iterator[tuple[Any, ...]]:
        """Yields the rows of a query, which the server holds in a cursor of this name.

        So many of them are in our memory at once.
        """
        cursor = self.connection.cursor(f"dtadmin_{name}")
        try:
            with self.explained():
                cursor.execute(statement, values)
                while some := cursor.fetchmany(at_once):
                    yield from some
        finally:
            with suppress(psycopg2.Error):  # of a lost connection there is nothing to close
                cursor.close()

    def value(self, statement: Any, parameters: Any = None) -> Any:
        """The only value of the only row of a query."""
        (value,) = self.only_row(statement, parameters)
        return value
