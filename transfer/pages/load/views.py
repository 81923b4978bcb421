"""Loading a file into a staging table: upload, preview, confirmation."""

from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from transfer.access import Role, has_role, role
from transfer.causes.catalogue import CATALOGUE
from transfer.causes.file_warnings import HARMLESS
from transfer.errors import FileRefused, TransferError
from transfer.installed import installed_kinds
from transfer.loading import upload_job
from transfer.loading.loaded_before import earlier
from transfer.loading.lost import look_for_lost_loads
from transfer.loading.receive import LARGEST, receive
from transfer.loading.recognise import kind_of
from transfer.loading.report import warning
from transfer.models import Actor, Settings, Upload
from transfer.pages.back import failed, is_part
from transfer.pages.exports import csv_response, file_response, xlsx_response
from transfer.pages.load import arrival, downloads
from transfer.pages.load.forms import DELIMITERS, ENCODINGS, ReadingForm, UploadForm
from transfer.pages.load.tables import BadLineTable, UploadTable, sample_table
from transfer.pages.parts.second_person import words_of_foreseen
from transfer.pages.uploading import takes_file
from transfer.text.columns import heading, how_to_fill_in
from transfer.text.explain import explain
from transfer.trace.reached import reached

State = Upload.State
BAD_LINES_SHOWN = 25
SECONDS = 3.0  # that a page waits for shop All


@require_safe
def loads(request: HttpRequest) -> HttpResponse:
    """The form that takes a file, and the list of earlier loads."""
    kind = request.GET.get("kind")
    return _loads(request, UploadForm(initial={"kind": kind if kind in installed_kinds() else ""}))


def _loads(request: HttpRequest, form: UploadForm) -> HttpResponse:
    table = UploadTable(Upload.objects.select_related("undo")).paged(request)
    shown = [row.record for row in table.page.object_list]
    if look_for_lost_loads(shown):  # a page waits for a silent shop All once
        table.reached = reached(shown, SECONDS)
    context = {
        "form": form,
        "kinds": [
            (kind, [(heading(c.name), how_to_fill_in(kind, c.name)) for c in kind.columns])
            for kind in installed_kinds().values()
        ],
        "table": table,
        "zone": Settings.load().zone,
    }
    return render(request, "load/loads.html", context, status=422 if form.errors else 200)


@role("operator")
@takes_file(LARGEST)
@require_POST
def upload_file(request: HttpRequest) -> HttpResponse:
    """Takes a file and redirects to its page, which shows the content."""
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _loads(request, form)
    try:
        upload = received(form, Actor.of(request))
    except FileRefused as error:
        form.add_error("file", str(explain(error)))
    else:
        if upload is not None:
            upload_job.start(upload)
            return redirect(upload)
        text = _(
            "The headings don’t say what this file contains. Choose the type, then select the "
            "file again."
        )
        form.add_error("kind", text)
    return _loads(request, form)


@transaction.atomic
def received(form: UploadForm, actor: Actor) -> Upload | None:
    """Stores the file; None if its kind is neither given nor recognised. Raises FileRefused."""
    file, name = form.cleaned_data["file"], form.cleaned_data["kind"]
    kinds = installed_kinds()
    of_any = next(iter(kinds.values()))  # until the headings are read
    upload = receive(kinds.get(name, of_any), file.chunks(), actor, name=file.name)
    if not name:
        kind = kind_of(upload)
        if kind is None:
            upload.delete()
            return None
        upload.kind = kind.name
        upload.save(update_fields=["kind"])
    return upload


@require_safe
def upload(request: HttpRequest, pk: int) -> HttpResponse:
    """Everything about one file; while a job works on it, the page refreshes itself."""
    upload = get_object_or_404(Upload, pk=pk)
    if upload.input_method == Upload.InputMethod.HAND and upload.state == State.READY:
        return redirect("entry_confirm", pk)
    look_for_lost_loads([upload, *([upload.undoes] if upload.undoes else [])])
    template = "load/part.html" if is_part(request) else "load/upload.html"
    return render(request, template, _context(request, upload))


def _context(
    request: HttpRequest, upload: Upload, form: ReadingForm | None = None
) -> dict[str, Any]:
    context: dict[str, Any] = {"upload": upload, "error": upload.explained}
    if upload.can_be_read_again and has_role(request.user, Role.OPERATOR):
        context["reading_form"] = form or ReadingForm(upload)
    if not upload.is_undo and (upload.state == State.CONFIRMED or upload.is_recorded):
        context |= _preview(upload)
    if upload.state == State.READY and not upload.is_undo:
        context |= _preview(upload)
        context["second_person"] = words_of_foreseen(upload, request.user.get_username())
        try:
            context["earlier"] = earlier(upload, seconds=SECONDS)  # whether it was loaded before
        except TransferError as error:
            messages.error(request, str(explain(error)))
    if upload.is_recorded:
        context |= {"undo": getattr(upload, "undo", None)} | arrival.context(request, upload)
    return context


def _preview(upload: Upload) -> dict[str, Any]:
    report, layout = upload.report, upload.layout
    warnings = [
        (code in HARMLESS, warning(code, params)) for code, params in report.get("warnings", [])
    ]
    return {
        "warnings": [text for is_harmless, text in warnings if not is_harmless],
        "notes": [text for is_harmless, text in warnings if is_harmless],
        "bad_lines": BadLineTable(upload.bad_lines.all()[:BAD_LINES_SHOWN], orderable=False),
        "shown": BAD_LINES_SHOWN,
        "reasons": [
            (explain(CATALOGUE[code]).sentence, count) for code, count in report.get("reasons", [])
        ],
        "added": Decimal(report.get("added") or 0),
        "taken": Decimal(report.get("taken") or 0),
        "sample": sample_table(upload, Settings.load().zone),
        "others": [name for name in layout.get("sheets", []) if name != layout.get("sheet")],
        "encoding": dict(ENCODINGS).get(layout.get("encoding"), ""),
        "delimiter": dict(DELIMITERS).get(layout.get("delimiter"), ""),
    }


@role("operator")
@require_POST
def upload_reading(request: HttpRequest, pk: int) -> HttpResponse:
    """Reads the file again, with the user's choices."""
    upload = get_object_or_404(Upload, pk=pk)
    if not upload.can_be_read_again:
        return redirect(upload)
    form = ReadingForm(upload, request.POST)
    if not form.is_valid():
        return render(request, "load/upload.html", _context(request, upload, form), status=422)
    if upload.go_on(State.RECEIVED, chosen=form.chosen(), done=0, error_code=""):
        upload_job.start(upload)
    return redirect(upload)


@role("operator")
@require_POST
def upload_confirm(request: HttpRequest, pk: int) -> HttpResponse:
    """Loads the good lines, unless they are no longer those that the page showed."""
    upload = get_object_or_404(Upload, pk=pk)
    try:
        before = earlier(upload, seconds=SECONDS) if upload.state == State.READY else None
    except TransferError as error:
        return failed(request, error, upload)
    if before and not request.POST.get("again"):
        messages.error(
            request, _("These rows were loaded before: tick the box to load them again.")
        )
    elif upload.good and upload.confirm(Actor.of(request)):
        upload_job.start(upload)
    return redirect(upload)


@role("operator")
@require_POST
def upload_discard(request: HttpRequest, pk: int) -> HttpResponse:
    upload = get_object_or_404(Upload, pk=pk)
    if upload.state == State.WAITING:
        is_closed = upload.approval.withdraw(Actor.of(request))
    else:
        is_closed = upload.close(State.DISCARDED)
    if is_closed:
        messages.success(request, _("Discarded: nothing was loaded, and the file is deleted."))
    return redirect("loads")


@role("operator")
@require_POST
def upload_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Checks a file again, after a failure of a database."""
    upload = get_object_or_404(Upload, pk=pk)
    if upload.state == State.FAILED and upload.go_on(State.RECEIVED, done=0, error_code=""):
        upload_job.start(upload)
    return redirect(upload)


@require_safe
def upload_bad_lines(request: HttpRequest, pk: int, form: str) -> HttpResponseBase:
    upload = get_object_or_404(Upload, pk=pk)
    name = f"bad-lines-{upload.pk}-{upload.kind}"
    return file_response(request, name, form, downloads.bad_lines(upload))


@require_safe
def template(request: HttpRequest, kind: str, form: str) -> HttpResponseBase:
    """A template to fill in."""
    if kind not in installed_kinds():
        raise Http404
    sheets = downloads.template(installed_kinds()[kind])
    return csv_response(kind, sheets[0]) if form == "csv" else xlsx_response(kind, sheets)
