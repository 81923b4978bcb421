"""The state of each staged row on each server: waiting, moved by a run, or rejected.

The server's own database says it: what it has received, and of which rows nothing is in effect. No
flag of ours is trusted. While it does not answer, our history says which rows a run has moved.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from transfer.engine.bonus_server.rejects import RowName
from transfer.engine.kind import Kind
from transfer.errors import TransferError
from transfer.models import BonusServer, RejectedRow, TransferRun
from transfer.trace.runs import runs_that_passed
from transfer.trace.servers import Answer, Received
from transfer.trace.sources import Other, Source

# States that a run has brought about.
BY_RUNS = ("moved", "rejected", "counted")
# Rejects that say that a row is not for this server, or has no effect there any more.
WITHOUT_EFFECT = ("not_here", "taken_back", "gone")


@dataclass
class Delivery:
    """The state of one staged row on one server.

    `state` is one of: waiting; moved; counted (somebody said that the server has it); rejected;
    without_effect (it is not for this server, or was taken back); skipped (the server does without
    it); unknown. A moved row with an error: our history alone says so, since the server is silent.
    """

    server: BonusServer
    state: str
    task: Any = None
    run: TransferRun | None = None
    reject: RejectedRow | None = None
    code: str = ""  # of a rejected row, or one without effect: the reason
    is_open: bool = False  # whether a rejected row waits for a decision
    error: TransferError | None = None
    said_by: str = ""  # of a counted row
    said_at: datetime | None = None


@dataclass
class StagedRow:
    """A staged change. `number` is that of its line in the log, None before it has one."""

    kind: Kind
    name: RowName
    id: int
    number: int | None
    created_at: datetime | None
    staged_by: str
    payload: dict[str, str | None]
    withdrawn: bool
    sent_again: tuple[Other, datetime | None] | None = None  # the row in its place, since when
    source: Source = field(default_factory=Source)
    deliveries: list[Delivery] = field(default_factory=list)


def judge_deliveries(
    rows: list[StagedRow], answers: list[Answer], tasks: list[Any], origin: str
) -> None:
    """Set the state of every row on every server."""
    of = {(task.server_id, task.kind): task for task in tasks}
    rejects = _rejects(rows)
    for row in rows:
        row.deliveries = [_delivery(row, answer, of, rejects) for answer in answers]
    passed = [
        ((delivery.task.pk, row.number), delivery)
        for row in rows
        for delivery in row.deliveries
        if delivery.task and row.number is not None
        if delivery.state in BY_RUNS or (delivery.state == "unknown" and not row.withdrawn)
    ]
    runs = runs_that_passed([key for key, _ in passed], origin)
    for key, delivery in passed:
        run = runs.get(key)
        # One that did not end well may have moved a part of a large transaction.
        if delivery.state == "unknown" and (run is None or not run.is_good):
            continue
        delivery.run = delivery.run or run
        if delivery.state in ("counted", "unknown") and delivery.run is not None:
            delivery.state = "moved"


def _rejects(rows: Sequence[StagedRow]) -> dict[tuple[int | None, RowName], RejectedRow]:
    """Return our own copies of rejects of these rows, by server and row."""
    found = RejectedRow.objects.filter(
        changeset__in={row.name.changeset for row in rows},
        row__in={row.name.row for row in rows},
    )
    return {
        (one.server_id, RowName(str(one.changeset), one.row)): one
        for one in found.select_related("run")
    }


def _delivery(
    row: StagedRow, answer: Answer, of: dict[Any, Any], rejects: dict[Any, RejectedRow]
) -> Delivery:
    server, task = answer.server, of.get((answer.server.pk, row.kind.name))
    ours = rejects.get((server.pk, row.name))
    if answer.error is not None:
        if ours is not None:
            return Delivery(server, "rejected", task, ours.run, ours, ours.code, ours.is_open)
        return Delivery(server, "unknown", task, error=answer.error)
    received = answer.received.get(row.kind.name)
    if received is None or not received.has(row.name, row.number):
        if row.withdrawn:
            return Delivery(server, "without_effect", task, code="taken_back")
        if received is not None and received.does_without(row.name):
            return Delivery(server, "skipped", task)
        return Delivery(server, "waiting", task)
    return _received(row, server, task, received, ours)


def _received(
    row: StagedRow,
    server: BonusServer,
    task: Any,
    received: Received,
    ours: RejectedRow | None,
) -> Delivery:
    """Return the state of a row that the server has received."""
    reject = received.rejects.get(row.name)
    if reject is None:
        if received.is_counted(row.name, row.number):
            beginning = received.position.beginning
            at = datetime.fromisoformat(beginning.at)
            return Delivery(server, "counted", task, said_by=beginning.by, said_at=at)
        return Delivery(server, "moved", task)
    if reject.code in WITHOUT_EFFECT:
        return Delivery(server, "without_effect", task, reject=ours, code=reject.code)
    run = ours.run if ours else None
    is_open = reject.resolved_by is None
    return Delivery(server, "rejected", task, run, ours, reject.code, is_open)
