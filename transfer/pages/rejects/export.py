"""Rejected rows as a file that can be corrected and loaded again."""

from functools import cache
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from transfer.causes.rows import reason_named
from transfer.engine.kind import Kind
from transfer.installed import installed_kinds
from transfer.loading.headings import REJECT
from transfer.loading.values import as_people_write
from transfer.models import Settings
from transfer.models.tasks import KindChoices
from transfer.pages.exports import Field, Sheet, column_fields, file_response, zoned
from transfer.pages.rejects.filters import RejectFilter
from transfer.text.columns import KEPT_PIN, heading
from transfer.text.explain import explain


@require_safe
def export(request: HttpRequest, form: str) -> HttpResponseBase:
    """CSV holds the rows of one transfer; of several there is a workbook with sheets."""
    rows = RejectFilter(request.GET).qs
    there = set(rows.order_by().values_list("kind", flat=True).distinct())
    if not there:  # one transfer, for its headings
        there = {next(iter(installed_kinds()))}
    if form == "csv" and len(there) > 1:
        return redirect(reverse("rejects_xlsx", query=request.GET))
    sheets = [sheet_of(kind, rows) for name, kind in installed_kinds().items() if name in there]
    name = f"rejects-{timezone.localtime():%Y-%m-%d-%H%M}"
    return file_response(request, name, form, *sheets)


def sheet_of(kind: Kind, rows: QuerySet[Any]) -> Sheet:
    """The columns that loading reads come first. The others have headings that it ignores.

    A secret is masked; loading the mask keeps the secret. A row that several servers have rejected
    is there once, so that it is loaded once.
    """
    once = (
        rows.filter(kind=kind.name).order_by("changeset", "row", "pk").distinct("changeset", "row")
    )
    zone = Settings.load().zone
    explained = cache(lambda code: explain(reason_named(code)))
    fields = [
        Field(heading(REJECT), lambda one: one.key, is_text=True),
        *column_fields(kind, lambda one, name: as_people_write(name, one.payload.get(name), zone)),
        Field(_("Bonus server"), lambda one: one.server_name),
        Field(_("Why rejected"), lambda one: explained(one.code).sentence),
        Field(_("What to do"), lambda one: explained(one.code).hint),
        Field(zoned(_("Rejected")), lambda one: one.created_at),
        Field(_("Row"), lambda one: one.row),
    ]
    if kind.secrets:
        fields.append(Field(_("About the PIN code"), lambda one: str(KEPT_PIN)))
    return Sheet(str(KindChoices(kind.name).label), fields, once)
