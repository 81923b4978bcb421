"""The tasks of many bonus servers, by server: what is wrong first, what is fine folded."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import NamedTuple

from transfer.models import BonusServer
from transfer.pages.shown.looks import Look
from transfer.pages.shown.task_status import TaskStatus

MANY = 8  # from so many bonus servers on, pages show them in a compact way
WRONG = ("bad", "warn")  # tones
LATEST = datetime.max.replace(tzinfo=UTC)


class Waiting(NamedTuple):
    """The waiting rows of several tasks, as far as they are known."""

    rows: int | None
    is_least: bool = False  # whether more may wait than were counted
    error: bool = False  # whether it is not known because a server does not answer


class StateOfSome(NamedTuple):
    """A state of some tasks of a server: how it looks, in words, and the tasks' kinds."""

    look: Look
    words: str
    kinds: Sequence[str]  # none if all tasks of the server are in this state


@dataclass(frozen=True)
class ServerGroup:
    """A bonus server with its tasks, in the order of the manual."""

    server: BonusServer
    rows: Sequence[TaskStatus]

    @cached_property
    def worst(self) -> TaskStatus:
        return min(self.rows, key=lambda row: row.badness)

    @property
    def is_wrong(self) -> bool:
        return self.worst.look.tone in WRONG

    @property
    def waiting(self) -> Waiting:
        return added(self.rows)

    @property
    def states(self) -> Iterator[StateOfSome]:
        """The states of its tasks, the worst first; of tasks that are fine one in all."""
        by_state: dict[str, list[TaskStatus]] = {}
        for row in sorted(self.rows, key=lambda row: (row.badness, row.upcoming or LATEST)):
            by_state.setdefault(row.state, []).append(row)
        for rows in by_state.values():
            first, is_all = rows[0], len(rows) == len(self.rows)
            kinds = [] if is_all else [row.task.get_kind_display() for row in rows]
            yield StateOfSome(first.look, first.state_words, kinds)


def added(rows: Sequence[TaskStatus]) -> Waiting:
    if all(row.backlog.least is None for row in rows):
        return Waiting(None, error=any(row.backlog.error for row in rows))
    return _waiting(sum(row.backlog.least or 0 for row in rows), rows)


def _waiting(total: int, rows: Sequence[TaskStatus]) -> Waiting:
    """A server that gives no answer may lack more than was counted."""
    is_silent = any(row.backlog.error for row in rows)
    return Waiting(None, error=True) if is_silent and not total else Waiting(total, is_silent)


def oldest(rows: Iterable[TaskStatus]) -> datetime | None:
    """When the oldest row was staged that waits for one of the tasks, as far as it is known."""
    return min((row.oldest for row in rows if row.oldest), default=None)


def added_once(rows: Sequence[TaskStatus]) -> Waiting:
    """The rows that at least one bonus server lacks, each of them counted once.

    Of each kind these are the rows of the server that lacks most: all servers read the rows in one
    order, so what another one lacks is among them. A server that gives no answer may lack more.
    """
    if all(row.backlog.least is None for row in rows):
        return added(rows)
    most: dict[str, int] = {}
    for row in rows:
        most[row.task.kind] = max(most.get(row.task.kind, 0), row.backlog.least or 0)
    return _waiting(sum(most.values()), rows)


def by_server(rows: Iterable[TaskStatus]) -> list[ServerGroup]:
    """The tasks in groups, the worst server first, else in the order in which they were docked."""
    groups: dict[BonusServer, list[TaskStatus]] = {}
    for row in sorted(rows, key=lambda row: (row.task.server_id, row.kind_order)):
        groups.setdefault(row.task.server, []).append(row)
    listed = [ServerGroup(server, of_server) for server, of_server in groups.items()]
    return sorted(listed, key=lambda group: group.worst.badness)
