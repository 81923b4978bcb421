"""Deadlines of our own for a database that stops answering, or does not stop answering.

`statement_timeout` is kept by the server. A server, or a proxy before it, that lets us log in and
then says nothing keeps no promise, and libpq waits for it without end: TCP keepalives only notice
a machine that is gone. So each step of a connection has a deadline here: when it passes, one
thread of the process, the watchdog, shuts the socket, and the step fails at once with Overdue.
While steps are under way, it also looks every LOOK_SECONDS whether one was answered with too many
bytes (`answer_size.py`), and shuts that socket likewise.

Two times are not counted: those without a limit (`Connection.statement_seconds`), and those in
which the server waits for us (`Connection.waits_for_us`).
"""

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Protocol

import psycopg2

logger = logging.getLogger(__name__)

# A fast network brings some megabytes between two looks.
LOOK_SECONDS = 0.02
# How long it goes on looking after the last step: to wake it for each one would cost more.
AWAKE_SECONDS = 1.0


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


class Limit(Protocol):
    """How much a step may be answered."""

    def is_passed(self) -> bool: ...


class TimeAlone:
    """The limit of a step whose bytes can't be counted."""

    def is_passed(self) -> bool:
        return False


class Deadline:
    """Calls `cut` once its seconds have passed, or the limit of bytes, unless it was paused before.

    `cut` returns whether it could; if not, it is called again after as many seconds, or one.
    """

    def __init__(self, seconds: float, cut: Callable[[], bool], limit: Limit) -> None:
        self.seconds = self.left = max(0.0, seconds)
        self.cut = cut
        self.limit = limit
        self.due = inf
        self.has_passed = False
        self.is_too_big = False

    def run(self) -> None:
        self.due = monotonic() + self.left
        _watchdog.watch(self)

    def pause(self) -> None:
        _watchdog.forget(self)
        self.left = self.due - monotonic()


class Watchdog:
    """One thread, started by the first deadline, for all deadlines of the process.

    An error with one of them, which is logged, ends neither the thread nor the others: without it,
    libpq would wait for a silent database for ever.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: set[Deadline] = set()
        self._wakes_at = inf
        self._thread: threading.Thread | None = None

    def watch(self, deadline: Deadline) -> None:
        """Raises RuntimeError if the system gives the process no more threads."""
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="deadlines", daemon=True)
                thread.start()  # it waits for the lock that we hold
                self._thread = thread
            self._running.add(deadline)
            if self._wakes_at == inf or deadline.due < self._wakes_at:
                self._changed.notify()

    def forget(self, deadline: Deadline) -> None:
        """When it returns, the deadline is not being cut, and will not be."""
        with self._changed:
            self._running.discard(deadline)

    def _work(self) -> None:
        sleeps_at = 0.0
        with self._changed:
            while True:
                now = monotonic()
                for deadline in [*self._running]:
                    self._cut_if_due(deadline, now)
                if self._running:
                    sleeps_at = now + AWAKE_SECONDS
                due = min((one.due for one in self._running), default=inf)
                self._wakes_at = min(due, now + LOOK_SECONDS) if now < sleeps_at else inf
                self._changed.wait(None if self._wakes_at == inf else self._wakes_at - now)

    def _cut_if_due(self, deadline: Deadline, now: float) -> None:
        """Cuts the step if it is due, or if it was answered with too much."""
        try:
            is_too_big = deadline.limit.is_passed()
        except Exception:
            logger.exception("what a database answers can't be counted: only its time is limited")
            deadline.limit, is_too_big = TimeAlone(), False
        if not is_too_big and now < deadline.due:
            return
        try:
            was_cut = deadline.cut()
        except Exception:
            logger.exception("a database that does not answer in time could not be ended")
            was_cut = False
        if was_cut:
            deadline.is_too_big, deadline.has_passed = is_too_big, not is_too_big
            self._running.discard(deadline)
        else:
            deadline.due = now + max(deadline.seconds, AWAKE_SECONDS)


_watchdog = Watchdog()


def _restart() -> None:
    """A forked process has none of the threads of its parent."""
    global _watchdog
    _watchdog = Watchdog()


os.register_at_fork(after_in_child=_restart)
