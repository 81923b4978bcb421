"""Deadlines of our own for a database that stops answering.

`statement_timeout` is kept by the server. A server, or a proxy before it, that lets us log in and
then says nothing keeps no promise, and libpq waits for it without end: TCP keepalives only notice
a machine that is gone. So each step of a connection has a deadline here: when it passes, one
thread of the process, the watchdog, shuts the socket, and the step fails at once with Overdue.

Two times are not counted: those without a limit (`Connection.statement_seconds`), and those in
which the server waits for us (`Connection.waits_for_us`).
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from time import monotonic

import psycopg2


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
