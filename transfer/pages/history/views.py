"""The history of all runs, filtered by the URL, and as a file."""

from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from transfer.models import MaintenanceRun, TransferRun
from transfer.models.failing import FAILURE, saved_error
from transfer.models.run_base import Run
from transfer.models.runs import COUNTS
from transfer.pages.exports import Field, Sheet, file_response, zoned
from transfer.pages.history.tables import MaintenanceRunTable, RunTable, TransferRunTable
from transfer.pages.parts.runs import (
    MaintenanceRunFilter,
    RunFilter,
    TransferRunFilter,
    summary,
    trend,
)
from transfer.text.explain import explain
from transfer.text.reports import run_report


@dataclass(frozen=True)
class History:
    """One of the two kinds of runs, with its filter, table and columns."""

    name: str
    model: type[Run]
    filter: type[RunFilter]
    table: type[RunTable]

    def filtered(self, request: HttpRequest) -> RunFilter:
        runs = self.model._default_manager.select_related("actor")
        return self.filter(request.GET, runs)


TRANSFERS = History("transfers", TransferRun, TransferRunFilter, TransferRunTable)
MAINTENANCE = History("maintenance", MaintenanceRun, MaintenanceRunFilter, MaintenanceRunTable)


@require_safe
def history(request: HttpRequest, of: History = TRANSFERS) -> HttpResponse:
    """The runs of all transfers, or of all maintenance, the latest first."""
    runs = of.filtered(request)
    context = {
        "history": of.name,
        "filter": runs,
        "table": of.table(runs.qs).keyset_paged(request),
        "is_new": not of.model._default_manager.exists(),
        "query": request.GET.urlencode(),
    }
    # On the first page only: people who page back look for a run, not for totals.
    if "page" not in request.GET:
        context["trend"] = trend(runs)
        if of is TRANSFERS:
            context |= summary(runs)
    return render(request, "history/history.html", context)


@require_safe
def export(request: HttpRequest, form: str, of: History = TRANSFERS) -> HttpResponseBase:
    """The filtered runs, in the order of the page, as CSV or XLSX."""
    table = of.table(of.filtered(request).qs)
    table.order_by = request.GET.getlist("sort") or table.order_by
    runs: QuerySet[Any] = table.data.data
    name = f"{of.name}-{timezone.localtime():%Y-%m-%d-%H%M}"
    rows = runs.values_list(*COLUMNS[of.name], named=True)
    return file_response(request, name, form, Sheet(_("History"), fields_of(of), rows))


# The fields of a file. Runs are read without objects, since there may be a million.
COLUMNS = {
    "transfers": [
        *("id", "state", "kind", "server_name", "trigger", "actor__username"),
        *("queued_at", "started_at", "finished_at"),
        *("expected", "read", *COUNTS, "waiting", "chunks", *FAILURE),
    ],
    "maintenance": [
        *("id", "state", "kind", "dry_run", "trigger", "actor__username"),
        *("queued_at", "started_at", "finished_at", "report", *FAILURE),
    ],
}


def fields_of(of: History) -> list[Field]:
    """The columns of a file: more than the page shows."""

    def plain(name: str, heading: Any = None) -> Field:
        label = heading or of.model._meta.get_field(name).verbose_name  # type: ignore[union-attr]
        return Field(capfirst(label), attrgetter(name))

    def moment(name: str) -> Field:
        field = plain(name)
        return Field(zoned(field.heading), field.value)

    def labelled(heading: str, name: str) -> Field:
        """The words for a choice, which are looked up once."""
        choices = of.model._meta.get_field(name).flatchoices  # type: ignore[union-attr]
        words = {value: str(label) for value, label in choices}
        value_of = attrgetter(name)
        return Field(heading, lambda run: words.get(value_of(run), value_of(run)))

    start = [
        plain("id", _("№")),
        labelled(_("State"), "state"),
        labelled(_("Maintenance") if of is MAINTENANCE else _("Transfer"), "kind"),
    ]
    who = [
        labelled(_("Started by"), "trigger"),
        Field(_("User"), attrgetter("actor__username")),
        *map(moment, ("queued_at", "started_at", "finished_at")),
        Field(_("Took, seconds"), seconds),
    ]
    cause = [Field(_("Cause"), sentence), Field(_("Technical text"), attrgetter("error_technical"))]
    if of is MAINTENANCE:
        done = Field(_("What it did"), lambda run: "; ".join(run_report(run)))
        return [*start, *who, done, *cause]
    counts = [
        plain("expected"),
        plain("read", _("Read")),
        *map(plain, ("applied", "unchanged", "rejected", "waiting", "chunks")),
        *map(plain, ("amount_applied", "amount_rejected")),
    ]
    return [*start, plain("server_name"), *who, *counts, *cause]


def seconds(run: Any) -> float | None:
    if run.started_at is None:
        return None
    return round(((run.finished_at or timezone.now()) - run.started_at).total_seconds(), 3)


def sentence(run: Any) -> str:
    """What went wrong. `run` is a row of the export, with the columns of a run's error."""
    if not run.error_code:
        return ""
    return explain(saved_error(run.error_code, run.error_params)).sentence
