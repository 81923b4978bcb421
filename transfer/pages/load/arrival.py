"""How much of a file has arrived at each bonus server, live; and the button that sends the rest."""

from contextlib import suppress
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from transfer.access import role
from transfer.models import Actor, TransferTask, Upload
from transfer.pages.back import is_part
from transfer.pages.shown import task_rows
from transfer.pages.shown.task_groups import MANY
from transfer.pages.shown.task_rows import AT_ONCE, FAST, SLOW
from transfer.runs.backlog import why
from transfer.runs.start import RunIsOpen, run_now
from transfer.text import formats
from transfer.text.explain import explain
from transfer.trace.arrival import Arrival, arrivals

State = Upload.State
AWAITED = ("unknown", "coming")


@require_safe
def arrival(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the file's page that refreshes itself; opened alone it redirects to the page."""
    upload = get_object_or_404(Upload.objects.recorded(), pk=pk)
    if not is_part(request):
        return redirect(upload)
    return render(request, "load/arrival.html", {"upload": upload, **context(request, upload)})


def context(request: HttpRequest, upload: Upload) -> dict[str, Any]:
    """How much each server has of a loaded file, or of one that shop All has lost since.

    An undo of a kind without opposites has no rows: of the load that it has withdrawn.
    """
    load = upload
    if upload.is_undo and not upload.kind_spec.appends:
        if upload.undoes is None:
            return {}
        load = upload.undoes
    on_servers = arrivals(load, task_rows.patience(request))
    lacking = [one for one in on_servers if one.state in AWAITED and load.state == State.LOADED]
    many = len(on_servers) >= MANY
    folded = [one for one in on_servers if many and one.state == "arrived"]
    return {
        "arrived_of": load,
        "arrivals": [(one, _words(one, load)) for one in on_servers if one not in folded],
        "arrived": [(one, _words(one, load)) for one in folded],
        "lacking": lacking,
        "has_rest": load is not upload and any(one.moved or one.error for one in on_servers),
        "poll": _pace(request, lacking),
    }


def _words(one: Arrival, load: Upload) -> str:
    """Why part of the file has not arrived."""
    if one.error is not None:
        return explain(one.error).sentence
    if load.state == State.LOST:
        return ""
    if one.state == "counted":
        return _("%(who)s has said that the server has these rows.") % {"who": one.said_by}
    return why(one.task) if one.state == "coming" else ""


def _pace(request: HttpRequest, lacking: list[Arrival]) -> float:
    """Seconds until the next refresh; 0 when all of the file has arrived."""
    if not lacking:
        return 0
    if any(one.error for one in lacking) and not is_part(request):
        return AT_ONCE  # the page waits for a server for a shorter time than its part does
    return FAST if any(one.task.open_run for one in lacking) else SLOW  # type: ignore[attr-defined]


@role("operator")
@require_POST
def run(request: HttpRequest, pk: int) -> HttpResponse:
    """Runs the transfers of the file's kind now: the given task, or those of all servers."""
    upload = get_object_or_404(Upload.objects.loaded(), pk=pk)
    tasks = TransferTask.objects.filter(kind=upload.kind)
    if named := request.POST.get("task"):
        tasks = tasks.filter(pk=formats.number_in(named) or 0)
    for task in tasks:
        with suppress(RunIsOpen):
            run_now(task, Actor.of(request))
    return redirect(upload)
