"""Loads, by files, by hand or by this API: the outcome of each, and of its rows on every server."""

from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema
from pydantic import AwareDatetime, Field

from transfer.http_api.error_answers import bad_rows
from transfer.http_api.shapes import (
    After,
    Limit,
    Named,
    Problem,
    Refused,
    RefusedField,
    named,
    one_of,
    page,
    problem_of,
)
from transfer.loading.load_once import BAD_ROWS_NAMED
from transfer.loading.lost import look_for_lost_loads
from transfer.loading.report import warning
from transfer.models import Approval, Upload
from transfer.models.tasks import KindChoices
from transfer.runs.backlog import PATIENTLY, why
from transfer.text.explain import explain
from transfer.trace.arrival import Arrival, arrivals

router = Router(tags=["Loads"])


class Approved(Schema):
    """What a second person has decided on a load above a limit."""

    state: Annotated[
        Approval.State,
        one_of(
            Approval.State,
            "void: approved, and not loaded, since the rows are others by now or the loader may "
            "not load any more.",
        ),
    ]
    asked_at: AwareDatetime
    expires_at: AwareDatetime
    decided_at: AwareDatetime | None
    decided_by: str
    reason: str = Field(description="Why it was refused.")


class Load(Schema):
    """Rows that were loaded together, or were to be."""

    id: UUID = Field(alias="token")
    kind: KindChoices
    state: Annotated[
        Upload.State,
        one_of(
            Upload.State,
            "lost: it was loaded, and shop All has lost it by a restore since; waiting: it needs a "
            "second person; declined: that person has not approved it.",
        ),
    ]
    method: Upload.InputMethod = Field(alias="input_method")
    name: str = Field(description="Of the file.")
    good: int
    bad: int
    amount: Decimal | None = Field(description="The sum of the good rows.")
    created_at: AwareDatetime
    created_by: str
    closed_at: AwareDatetime | None = Field(description="When it was loaded or given up.")
    error: Problem | None
    approval: Approved | None = Field(
        description="Of a load that needs a second person, or has needed one."
    )
    undoes: UUID | None = Field(description="The load that it takes back.")
    undone_by: UUID | None = Field(description="The load that takes it back.")

    @staticmethod
    def resolve_approval(upload: Upload) -> Any:
        return getattr(upload, "approval", None)

    @staticmethod
    def resolve_undoes(upload: Upload) -> Any:
        return upload.undoes and upload.undoes.token

    @staticmethod
    def resolve_undone_by(upload: Upload) -> Any:
        return upload.undo.token if upload.is_undone else None

    @staticmethod
    def resolve_error(upload: Upload) -> Any:
        return problem_of(upload.error)


class Loads(Schema):
    items: list[Load]
    next: int | None


class Arrived(Schema):
    """How much of a load a bonus server has."""

    server: Named
    state: str = Field(
        description=(
            "arrived, rejects (arrived, some rejected), coming, unknown; counted (somebody has "
            "said that the server has the rows), withdrawn (taken back before the server has read "
            "it), skipped (somebody has said that it does without them)."
        )
    )
    rows: int = Field(description="That the server gets.")
    moved: int
    rejected: int = Field(description="Of the moved ones.")
    run: int | None = Field(description="The run that moved the last of them.")
    reason: str = Field(description="Why some have not arrived, or nothing is known.")


class LoadWithArrival(Load):
    servers: list[Arrived] = Field(
        description="Of a load that is in shop All, or that shop All has lost by a restore."
    )
    errors: list[RefusedField] = Field(description="The first 100 bad rows.")
    warnings: list[str] = Field(description="What may be a mistake, in sentences.")


@router.get("loads", response=Loads, summary="Loads, the latest first")
def list_loads(request: HttpRequest, after: After, limit: Limit) -> Any:
    loads = Upload.objects.select_related("undoes", "undo", "approval")
    found = page(loads, after, limit, latest_first=True)
    look_for_lost_loads(found["items"])
    return found


@router.get(
    "loads/{uuid:id}",
    response={200: LoadWithArrival, 404: Refused},
    summary="One load: has it arrived, at which servers",
)
def get_load(request: HttpRequest, id: UUID) -> Any:
    upload: Any = get_object_or_404(Upload, token=id)
    look_for_lost_loads([upload])
    known = arrivals(upload, PATIENTLY) if upload.is_recorded else []
    upload.servers = [arrived(one) for one in known]
    upload.errors = bad_rows(upload.bad_lines.all()[:BAD_ROWS_NAMED])
    upload.warnings = [warning(*one) for one in upload.report.get("warnings", [])]
    return upload


def arrived(one: Arrival) -> dict[str, Any]:
    reason = explain(one.error).sentence if one.error else ""
    if one.state == "coming":
        reason = why(one.task)
    return {
        "server": named(one.task.server),
        "state": one.state,
        "rows": one.rows,
        "moved": one.moved,
        "rejected": one.rejected,
        "run": one.run and one.run.pk,
        "reason": reason,
    }
