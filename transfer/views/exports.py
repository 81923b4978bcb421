"""Rejected rows as a file that can be corrected and loaded again."""

from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from transfer.exports import Field, Sheet, csv_response, xlsx_response, zoned
from transfer.forms.resend import as_people_write
from transfer.kinds import KINDS, Column, Kind
from transfer.loading.values import number
from transfer.loading.words import heading
from transfer.models import RejectedRow
from transfer.models.tasks import KindChoices
from transfer.views.rejects import found
from transfer.wording import explain_reject


@require_safe
def rejects_csv(request: HttpRequest) -> HttpResponseBase:
    """The rows of one transfer: where several are found, a workbook, which has sheets."""
    rows = found(request).qs
    kinds = kinds_of(rows)
    if len(kinds) > 1:
        return redirect(f"{reverse('rejects_xlsx')}?{request.GET.urlencode()}")
    return csv_response(name_of(), sheet_of(KINDS[kinds[0] if kinds else "pincodes"], rows))


@require_safe
def rejects_xlsx(request: HttpRequest) -> HttpResponseBase:
    rows = found(request).qs
    kinds = kinds_of(rows) or ["pincodes"]
    return xlsx_response(name_of(), [sheet_of(KINDS[kind], rows) for kind in kinds])


def kinds_of(rows: QuerySet[Any]) -> list[str]:
    there = set(rows.order_by().values_list("kind", flat=True).distinct())
    return [kind for kind in KINDS if kind in there]


def name_of() -> str:
    return f"rejects-{timezone.localtime():%Y-%m-%d-%H%M}"


def sheet_of(kind: Kind, rows: QuerySet[Any]) -> Sheet:
    """The columns that loading knows first. The others have headings that it does not know.

    A row that several servers have rejected stands there once, or it would be loaded as often.
    """
    once = (
        rows.filter(kind=kind.name)
        .order_by("origin", "staging_id", "pk")
        .distinct("origin", "staging_id")
    )
    fields = [
        *(Field(heading(column.name), value_of(column)) for column in kind.columns),
        Field(_("Row"), lambda one: one.staging_id),
        Field(_("Why rejected"), lambda one: explain_reject(one.code).sentence),
        Field(_("What to do"), lambda one: explain_reject(one.code).hint),
        Field(zoned(_("Rejected")), lambda one: one.created_at),
    ]
    if any(column.secret for column in kind.columns):
        note = _("PIN codes are never shown: enter new ones, or send the rows again on the page.")
        fields.append(Field(_("About the PIN code"), lambda one: note))
    return Sheet(str(KindChoices(kind.name).label), fields, once.iterator(chunk_size=1000))


def value_of(column: Column) -> Any:
    """What a cell holds: nothing of a secret; amounts as numbers where they are."""

    def text(one: RejectedRow) -> Any:
        came = one.payload.get(column.name)
        if column.secret or came is None:
            return ""
        return as_people_write(column.name, came)

    def amount(one: RejectedRow) -> Any:
        came = one.payload.get(column.name)
        return exact(came) if came else ""

    return amount if column.carried_as == "numeric" else text


def exact(text: str) -> Any:
    return Decimal(text) if number(text).value is not None else text
