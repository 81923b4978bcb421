"""Rejected rows: which, at which server, why, and what has replaced them."""

from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Schema
from pydantic import AwareDatetime, Field

from transfer.causes.rows import reason_named
from transfer.http_api.shapes import After, Limit, Problem, Refused, one_of, page
from transfer.models import RejectedRow, Upload
from transfer.models.tasks import KindChoices
from transfer.text.explain import explain

router = Router(tags=["Rows"])

OfLoad = Annotated[UUID | None, Query(None, description="Only the rows of this load.")]
OfServer = Annotated[int | None, Query(None, description="Only those of this bonus server.")]


class Replacement(Schema):
    """The row that was sent in place of a rejected one."""

    changeset: UUID
    row: int | None = Field(description="Null where only the bonus server knows what replaced it.")
    has_arrived: bool = Field(description="Whether it has reached the bonus server.")


class Rejected(Schema):
    """A row that a bonus server has rejected."""

    id: int
    correct_as: str = Field(
        alias="key", description="What a row that replaces it names as its `reject`."
    )
    changeset: UUID = Field(description="The transaction or load that has staged it.")
    row: int = Field(description="In its load the number of the row, else that in the table.")
    server: int | None = Field(
        alias="server_id", description="Null if the server is no longer docked."
    )
    server_name: str
    run: int | None = Field(alias="run_id")
    values: dict[str, str | None] = Field(
        alias="payload", description="As received; a PIN code as ••••."
    )
    reason: Problem
    rejected_at: AwareDatetime = Field(alias="created_at")
    state: Annotated[RejectedRow.State, one_of(RejectedRow.State)]
    closed_at: AwareDatetime | None
    closed_by: str
    close_reason: str
    replaced_by: Replacement | None = Field(description="The row that was sent in its place.")

    @staticmethod
    def resolve_reason(row: RejectedRow) -> Any:
        reason = explain(reason_named(row.code))
        return {"code": row.code, "message": reason.sentence, "hint": reason.hint}

    @staticmethod
    def resolve_replaced_by(row: RejectedRow) -> Any:
        if not row.resent_changeset:
            return None
        return {
            "changeset": row.resent_changeset,
            "row": row.resent_row,
            "has_arrived": row.is_written,
        }


class RejectedRows(Schema):
    items: list[Rejected]
    next: int | None


@router.get(
    "rows/{kind}/rejected",
    response={200: RejectedRows, 404: Refused},
    summary="Rejected rows, the latest first; of one load, if you name it",
)
def list_rejected(
    request: HttpRequest,
    kind: KindChoices,
    after: After,
    limit: Limit,
    load: OfLoad,
    server: OfServer,
    state: Annotated[RejectedRow.State, one_of(RejectedRow.State)] | None = None,
) -> Any:
    rows = RejectedRow.objects.filter(kind=kind)
    if load is not None:
        rows = rows.of_load(get_object_or_404(Upload, token=load))
    wanted = {"server": server, "state": state}
    rows = rows.filter(**{name: value for name, value in wanted.items() if value is not None})
    return page(rows, after, limit, latest_first=True)
