"""Whether all that was staged is accounted for: the last counts, and a new one."""

from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema
from pydantic import AwareDatetime, Field

from transfer.errors import TransferError
from transfer.http_api.shapes import After, Limit, Named, Problem, Refused, named, page, problem_of
from transfer.models import BonusServer, TransferTask
from transfer.models.tasks import KindChoices
from transfer.runs.reconcile import PATIENTLY, last_result, reconcile_within

router = Router(tags=["State"])


class Reconciliation(Schema):
    """The last comparison of both sides of a task; nulls if there was none yet.

    It holds if nothing is missing: logged + lost = applied + unchanged + rejected.
    """

    task: int
    kind: KindChoices
    server: Named
    at: AwareDatetime | None = None
    holds: bool | None = None
    logged: int | None = Field(
        None, description="Rows that the server has received, by the log of shop All."
    )
    lost: int | None = Field(
        None, description="Rows that the server has, and shop All has lost by a restore."
    )
    applied: int | None = None
    unchanged: int | None = None
    rejected: int | None = None
    rows_missing: int | None = None
    amount_missing: Decimal | None = None
    open_rejects: int | None = Field(None, description="Rejected rows that wait for a decision.")


class Reconciliations(Schema):
    items: list[Reconciliation]
    next: int | None


class Counted(Reconciliation):
    """A task that was to be counted now; with an error, the numbers are those of the last time."""

    error: Problem | None = None


@router.get("reconciliation", response=Reconciliations, summary="The last reconciliations")
def list_reconciliations(request: HttpRequest, after: After, limit: Limit) -> Any:
    found = page(TransferTask.objects.select_related("server"), after, limit)
    return {**found, "items": [reconciliation_shape(task) for task in found["items"]]}


@router.post(
    "servers/{int:id}/reconciliation",
    response={200: list[Counted], 404: Refused},
    summary="Count now, for each task of a bonus server; takes some seconds",
)
def count_now(request: HttpRequest, id: int) -> Any:
    server = get_object_or_404(BonusServer, pk=id)
    answers = reconcile_within(PATIENTLY, list(server.tasks.select_related("server")))
    return [
        {
            **reconciliation_shape(task),
            "error": problem_of(answer) if isinstance(answer, TransferError) else None,
        }
        for task, answer in sorted(answers.items(), key=lambda one: one[0].pk)
    ]


def reconciliation_shape(task: TransferTask) -> dict[str, Any]:
    about = {"task": task.pk, "kind": task.kind, "server": named(task.server)}
    result = last_result(task)
    if result is None:
        return about
    totals = {name: getattr(result.totals, name) for name in ("applied", "unchanged", "rejected")}
    missing = ("at", "holds", "rows_missing", "amount_missing")
    return {
        **about,
        **totals,
        **{name: getattr(result, name) for name in missing},
        "logged": result.logged.rows,
        "lost": result.lost.rows,
        "open_rejects": result.open,
    }
