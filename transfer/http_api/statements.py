"""Statements for accountants: the signed files that were kept."""

from datetime import date
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Router, Schema
from pydantic import AwareDatetime, Field

from transfer.http_api.shapes import After, Limit, Refused
from transfer.models import Statement

router = Router(tags=["Statements"])


class Kept(Schema):
    """A statement that was made. A server of null: of all servers."""

    number: int
    made_at: AwareDatetime
    first: date
    last: date
    server: int | None = Field(None, alias="server_pk")
    digest: str = Field(description="SHA-256 of `statement` of the signed file.")


class Statements(Schema):
    items: list[Kept]
    next: int | None


@router.get("statements", response=Statements, summary="The statements, the first one first")
def list_statements(request: HttpRequest, after: After, limit: Limit) -> Any:
    kept = Statement.objects.defer("document").filter(number__gt=after or 0).order_by("number")
    items = [*kept[: limit + 1]]
    more = len(items) > limit
    return {"items": items[:limit], "next": items[limit - 1].number if more else None}


@router.get(
    "statements/{int:number}",
    response={200: dict[str, Any], 404: Refused},
    summary="The signed file of a statement, byte for byte, as manage.py verify reads it",
)
def get_statement(request: HttpRequest, number: int) -> Any:
    kept = get_object_or_404(Statement, number=number)
    return HttpResponse(kept.document.encode(), content_type="application/json; charset=utf-8")
