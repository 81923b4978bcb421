"""Taking a load back: what it would do, the order, and the list of what can't be taken back."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _, ngettext
from django.views.decorators.http import require_safe

from transfer.access import role
from transfer.approvals.limits import has_limits
from transfer.causes.file_warnings import HARMLESS
from transfer.errors import TransferError
from transfer.loading import undo_load as undoing, upload_job
from transfer.loading.report import warning
from transfer.loading.values import as_people_write
from transfer.models import Actor, Settings, Upload
from transfer.models.tasks import KindChoices
from transfer.pages.back import failed, read_or_post, refused
from transfer.pages.exports import Sheet, column_fields, file_response
from transfer.pages.parts.confirmation import Confirmation
from transfer.pages.parts.second_person import words_of_rows
from transfer.pages.shown.task_groups import MANY
from transfer.text import formats
from transfer.text.explain import explain
from transfer.trace.arrival import Arrival, Outlook, outlook

SECONDS = 3.0
SECONDS_OF_A_LIST = 10.0


@role("operator")
@read_or_post
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Shows what taking the load back would do, and orders it once."""
    load = get_object_or_404(Upload.objects.recorded(), pk=pk)
    try:
        undoing.require_can_be_undone(load, seconds=SECONDS)
        if request.method == "POST":
            ordered = undoing.order(load, Actor.of(request))
            upload_job.start(ordered)
            ordered.refresh_from_db()
            return redirect(ordered)
        if load.is_undone:
            return refused(request, _("This load was taken back before."), load)
        expected = outlook(load, SECONDS)
        needed = []
        if has_limits():
            rows = undoing.rows_of(load, SECONDS)
            needed = words_of_rows(rows, request.user.get_username())
    except TransferError as error:
        return failed(request, error, load)
    context = {
        **_question(load, expected, needed).context(),
        "load": load,
        "has_rest": not load.kind_spec.appends and expected.waiting != load.good,
    }
    return render(request, "load/undo_confirm.html", context)


def _question(load: Upload, expected: Outlook, second_person: list[str]) -> Confirmation:
    words = {code: warning(code, params) for code, params in expected.warnings}
    notes = [words[code] for code in words if code in HARMLESS]
    doubts = [warning(code, params) for code, params in expected.warnings if code not in HARMLESS]
    if load.kind_spec.appends:
        text = _(
            "Every server that has accepted a row receives a row of the opposite amount with its "
            "next run. What was sent in place of rejected rows is taken back as well, and open "
            "rejected rows are closed. A load is taken back once; to have its rows again, load the "
            "file again."
        )
    else:
        text = _(
            "The load is withdrawn: bonus servers that have not read it do not get it. Those that "
            "have read it keep its rows, since what was there before them is not known. Download "
            "the rows, enter the right values, and load the list."
        )
    return Confirmation(
        title=_("Take back “%(load)s”?") % {"load": load},
        text=text,
        points=[*_arrived(expected.arrivals), *_waiting(expected.waiting), *notes],
        doubts=doubts,
        second_person=second_person,
        action=_("Ask for approval") if second_person else _("Take it back"),
        back=load.get_absolute_url(),
        danger=not second_person,
    )


def _arrived(arrivals: list[Arrival]) -> list[str]:
    """How much of the load each server has; of many servers those that have all in one line."""
    points = []
    complete = [one for one in arrivals if one.state == "arrived"]
    folded = complete if len(arrivals) >= MANY else []
    if folded:
        text = ngettext(
            "Arrived in full on %(n)s bonus server",
            "Arrived in full on %(n)s bonus servers",
            len(folded),
        )
        points.append(text % {"n": formats.number(len(folded))})
    for one in arrivals:
        if one in folded:
            continue
        if one.error is not None:
            words = _("%(server)s: how much has arrived is not known. %(why)s")
            names = {"server": one.task.server, "why": explain(one.error).sentence}
        else:
            words = _("%(server)s: %(moved)s of %(rows)s moved, %(rejected)s rejected")
            names = {
                "server": one.task.server,
                "moved": formats.number(one.moved),
                "rows": formats.number(one.rows),
                "rejected": formats.number(one.rejected),
            }
        points.append(words % names)
    return points


def _waiting(rows: int | None) -> list[str]:
    """How many rows no server has read yet; nothing where there is none."""
    if rows is None:
        return [_("How many rows no server has read yet is not known.")]
    if not rows:
        return []
    text = ngettext(
        "%(n)s row has not been read by any server",
        "%(n)s rows have not been read by any server",
        rows,
    )
    return [text % {"n": formats.number(rows)}]


@require_safe
def rest(request: HttpRequest, pk: int, form: str) -> HttpResponseBase:
    """The rows that can't be taken back, as a file to correct and to load instead."""
    load = get_object_or_404(Upload.objects.loaded(), pk=pk, undoes=None)
    try:
        rows = [*undoing.rest(load, SECONDS_OF_A_LIST)]
    except TransferError as error:
        return failed(request, error, load)
    zone, secrets = Settings.load().zone, load.kind_spec.secrets

    def text_of(row: Any, name: str) -> str:
        return "" if name in secrets else as_people_write(name, row.get(name), zone)

    sheet = Sheet(str(KindChoices(load.kind).label), column_fields(load.kind_spec, text_of), rows)
    return file_response(request, f"rest-{load.pk}-{load.kind}", form, sheet)
