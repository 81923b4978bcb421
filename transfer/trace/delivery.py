"""The state of each staged row on each server: waiting, moved by a run, or rejected."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count

from transfer.engine.checks import BLANKED
from transfer.engine.kind import Kind
from transfer.errors import TransferError
from transfer.models import BonusServer, RejectedRow, TransferRun
from transfer.trace.runs import runs_that_moved
from transfer.trace.servers import Answer
from transfer.trace.sources import Source


@dataclass
class Delivery:
    """The state of one staged row on one server."""

    server: BonusServer
    state: str  # waiting, moved, rejected, unknown; read: moved or rejected, which is not known
    task: Any = None
    run: TransferRun | None = None
    reject: RejectedRow | None = None
    code: str = ""  # of a rejected row: the check that it failed
    error: TransferError | None = None


@dataclass
class StagedRow:
    """A staged change."""

    kind: Kind
    xid: int
    id: int
    created_at: datetime | None
    payload: dict[str, str | None]
    may_fail: bool  # whether it can fail a check that depends on what the server holds
    reached: dict[int, bool]  # server → whether its position is past the row
    faults: dict[int, str | None]  # server → the first check that the row fails there
    sent_again: tuple[int, datetime] | None = None  # the row in its place, and since when
    source: Source = field(default_factory=Source)
    deliveries: list[Delivery] = field(default_factory=list)


def judge_deliveries(
    rows: list[StagedRow], answers: list[Answer], tasks: list[Any], origin: str
) -> None:
    """Sets the state of every row on every server."""
    of = {(task.server_id, task.kind): task for task in tasks}
    rejects = _rejects(rows, origin)
    for row in rows:
        row.deliveries = [_delivery(row, answer, of, rejects) for answer in answers]
    moved = [
        ((delivery.task.pk, row.xid, row.id), row, delivery, answer)
        for row in rows
        for delivery, answer in zip(row.deliveries, answers, strict=True)
        if delivery.state == "moved" and delivery.task is not None
    ]
    runs = runs_that_moved([key for key, *_ in moved], origin)
    complete = _with_all_rejects(runs.values())
    for key, row, delivery, answer in moved:
        delivery.run = runs.get(key)
        if delivery.run is None or delivery.run.pk not in complete:
            _judge(row, delivery, answer)


def _rejects(rows: list[StagedRow], origin: str) -> dict[tuple[int | None, str, int], RejectedRow]:
    """Those of the rows, and such as have the kind of one and the number of another."""
    rejects = RejectedRow.objects.filter(
        kind__in={row.kind.name for row in rows},
        origin=origin,
        staging_id__in={row.id for row in rows},
    )
    return {
        (reject.server_id, reject.kind, reject.staging_id): reject
        for reject in rejects.select_related("run")
    }


def _delivery(
    row: StagedRow, answer: Answer, of: dict[Any, Any], rejects: dict[Any, Any]
) -> Delivery:
    server, kind = answer.server, row.kind.name
    task = of.get((server.pk, kind))
    reject = rejects.get((server.pk, kind, row.id))
    if reject is not None:
        return Delivery(server, "rejected", task, reject.run, reject, reject.code)
    if answer.error is not None:
        return Delivery(server, "unknown", task, error=answer.error)
    return Delivery(server, "moved" if row.reached[server.pk] else "waiting", task)


def _with_all_rejects(runs: Iterable[TransferRun]) -> set[int]:
    """The runs whose rejects are all there: a row that is not among those was applied."""
    rejected = {run.pk: run.rejected for run in runs}
    present = dict(
        RejectedRow.objects.filter(run__in=[pk for pk, rows in rejected.items() if rows])
        .order_by()
        .values_list("run")
        .annotate(Count("pk"))
    )
    return {pk for pk, rows in rejected.items() if present.get(pk, 0) >= rows}


def _judge(row: StagedRow, delivery: Delivery, answer: Answer) -> None:
    """Judges a row whose reject may be gone by the checks, since a staged row never changes.

    But for a PIN code, which may have been blanked after it was moved.
    """
    fault = row.faults[answer.server.pk]
    if fault == BLANKED:
        delivery.state, delivery.code = "read", BLANKED
    elif fault is not None:
        delivery.state, delivery.code = "rejected", fault
    elif row.may_fail and (_rejected_all(delivery.run) or not answer.holding.cards):
        # No transfer removes a card: one that the server does not know, it has never known.
        delivery.state, delivery.code = "rejected", row.kind.late_checks[0].code
    elif row.may_fail:
        delivery.state = "read"


def _rejected_all(run: TransferRun | None) -> bool:
    return run is not None and run.rejected == run.read
