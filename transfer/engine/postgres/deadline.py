"""Deadlines of our own for a database that stops answering. No Django.

`statement_timeout` is kept by the server. A server, or a proxy before it, that lets us log in and
then says nothing keeps no promise, and libpq waits for it without end: TCP keepalives only notice
a machine that is gone. So each step of a connection has a deadline here: when it passes, one
thread of the process, the watchdog, shuts the socket, and the step fails at once with Overdue.

Two times are not counted: those without a limit (see `Connection.statement_seconds`), and those in
which the server waits for us (`Connection.waits_for_us`).
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any

import psycopg2
from psycopg2.extensions import connection as PlainConnection, cursor as PlainCursor


@dataclass(frozen=True)
class Limits:
    """How many seconds each step of a connection may take."""

    connect: float = 5  # for each address of the host; libpq counts whole seconds, from 2
    statement: float = 300  # the server stops a statement after it
    end: float = 5  # to roll back, to clear the session for the next question, to close
    grace: float = 2  # that the server has to say that it stopped a statement


class Overdue(psycopg2.OperationalError):
    """The server did not answer in time. The socket has been shut."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:g} s")
        self.seconds = seconds


class Deadline:
    """Calls `cut` once its seconds have passed, unless it was paused before.

    `cut` returns whether it could; if not, it is called again after as many seconds.
    """

    def __init__(self, seconds: float, cut: Callable[[], bool]) -> None:
        self.seconds = self.left = max(0.0, seconds)
        self.cut = cut
        self.due = inf
        self.has_passed = False

    def run(self) -> None:
        self.due = monotonic() + self.left
        _watchdog.watch(self)

    def pause(self) -> None:
        _watchdog.forget(self)
        self.left = self.due - monotonic()


class Watchdog:
    """One thread, started by the first deadline, for all deadlines of the process."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: set[Deadline] = set()
        self._wakes_at = inf
        self._thread: threading.Thread | None = None

    def watch(self, deadline: Deadline) -> None:
        with self._changed:
            self._running.add(deadline)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="deadlines", daemon=True)
                self._thread.start()
            elif deadline.due < self._wakes_at:
                self._changed.notify()

    def forget(self, deadline: Deadline) -> None:
        """When it returns, the deadline is not being cut, and will not be."""
        with self._changed:
            self._running.discard(deadline)

    def _work(self) -> None:
        with self._changed:
            while True:
                now = monotonic()
                for deadline in [one for one in self._running if one.due <= now]:
                    self._pass(deadline, now)
                self._wakes_at = min((one.due for one in self._running), default=inf)
                self._changed.wait(None if self._wakes_at == inf else self._wakes_at - now)

    def _pass(self, deadline: Deadline, now: float) -> None:
        if deadline.cut():
            deadline.has_passed = True
            self._running.discard(deadline)
        else:
            deadline.due = now + deadline.seconds


_watchdog = Watchdog()


def _restart() -> None:
    """A forked process has none of the threads of its parent."""
    global _watchdog
    _watchdog = Watchdog()


os.register_at_fork(after_in_child=_restart)


class Connection(PlainConnection):
    """A connection of psycopg2 each of whose steps has a deadline."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.limits = Limits()
        # Of each statement, until the transaction ends; None: it may take any time.
        self.statement_seconds: float | None = self.limits.statement
        self.ends_at = inf  # by the clock `monotonic`: for all statements together
        self._deadline: Deadline | None = None
        self._line: socket.socket | None = None
        with self._within(self.limits.connect):
            super().__init__(*arguments, **options)
        self.cursor_factory = Cursor
        # Of our own: psycopg2 may close its own at any time, and another file get its number.
        self._line = socket.socket(fileno=os.dup(self.fileno()))

    def limit(self, limits: Limits) -> None:
        self.limits = limits
        self.statement_seconds = limits.statement

    def hang_up(self) -> bool:
        """Shuts the socket, from any thread: what is under way fails, and the server rolls it back.

        False while libpq is still connecting, which it ends by itself.
        """
        with suppress(OSError, psycopg2.Error):  # closed already
            if self._line is not None:
                self._line.shutdown(socket.SHUT_RDWR)
            elif (number := self.fileno()) >= 0:
                with socket.socket(fileno=os.dup(number)) as line:
                    line.shutdown(socket.SHUT_RDWR)
            else:
                return False
        return True

    @contextmanager
    def _within(self, seconds: float) -> Iterator[None]:
        """Raises Overdue when the block had to be cut."""
        deadline = self._deadline = Deadline(seconds, self.hang_up)
        deadline.run()
        try:
            yield
        except (psycopg2.Error, SystemError, OSError):
            deadline.pause()  # waits for the watchdog, which may be at it
            if deadline.has_passed:
                raise Overdue(deadline.seconds) from None
            raise
        finally:
            deadline.pause()
            self._deadline = None

    @contextmanager
    def statement(self) -> Iterator[None]:
        """Cuts what takes longer than a statement may."""
        if self.statement_seconds is None:
            yield
            return
        left = min(self.statement_seconds, self.ends_at - monotonic())
        with self._within(max(0.0, left) + self.limits.grace):
            yield

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

    def reset(self) -> None:
        with self._within(min(self.limits.end, self.ends_at - monotonic())):
            super().reset()
        self.statement_seconds = self.limits.statement

    def set_session(self, *arguments: Any, **options: Any) -> None:
        with self._within(self.limits.end):
            super().set_session(*arguments, **options)

    def close(self) -> None:
        try:
            with self._within(self.limits.end):
                super().close()
        finally:
            if self._line is not None:
                self._line.close()


class Cursor(PlainCursor):
    """Its statements have the deadline of their connection."""

    connection: Connection

    def execute(self, *arguments: Any, **options: Any) -> None:
        with self.connection.statement():
            super().execute(*arguments, **options)

    def copy_expert(self, *arguments: Any, **options: Any) -> None:
        with self.connection.statement():
            super().copy_expert(*arguments, **options)

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
