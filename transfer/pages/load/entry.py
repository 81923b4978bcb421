"""A single change by hand: entered, confirmed, and then staged."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from transfer.access import role
from transfer.causes.files import FILE_WITHOUT_ROWS
from transfer.errors import TransferError
from transfer.installed import installed_kinds
from transfer.loading import upload_job
from transfer.loading.loaded_before import Earlier, earlier
from transfer.loading.receive import receive
from transfer.models import Actor, Settings, Upload
from transfer.pages.back import read_or_post
from transfer.pages.load.before_and_after import Outlook, SureForm, outlook
from transfer.pages.load.tables import cell_words
from transfer.pages.parts.confirmation import Confirmation, ask_to_confirm
from transfer.pages.parts.entry_form import EntryForm
from transfer.pages.parts.second_person import words_of_foreseen, words_of_waiting
from transfer.text import formats
from transfer.text.columns import heading
from transfer.text.explain import explain

State = Upload.State
SECONDS = 3.0  # that the page waits for shop All


@role("operator")
@read_or_post
def entry(request: HttpRequest, kind: str) -> HttpResponse:
    """The form. A change that passes the checks is confirmed on its own page."""
    if kind not in installed_kinds():
        raise Http404
    form = EntryForm(installed_kinds()[kind], request.POST or None, initial=request.GET.dict())
    if form.is_valid() and (upload := _judge(form, Actor.of(request))):
        return redirect("entry_confirm", upload.pk)
    context = {"form": form, "kinds": list(installed_kinds().values())}
    return render(request, "load/entry.html", context, status=422 if form.errors else 200)


def _judge(form: EntryForm, actor: Actor) -> Upload | None:
    """Stores the change for the confirmation, or shows in the form what is wrong with it."""
    method = Upload.InputMethod.HAND
    upload = receive(form.kind, [form.line()], actor, name=form.subject(), input_method=method)
    upload.chosen = form.reading()
    upload.save(update_fields=["chosen"])
    upload_job.go_on(upload)
    if upload.state == State.READY and upload.good == 1:
        return upload
    if upload.error_code not in ("", FILE_WITHOUT_ROWS.code):
        form.add_error(None, str(upload.explained))
    else:
        form.refuse(upload)
    upload.delete()
    return None


@role("operator")
@read_or_post
def confirm(request: HttpRequest, pk: int) -> HttpResponse:
    """Shows what will be staged, and stages it once."""
    upload = get_object_or_404(Upload, pk=pk, input_method=Upload.InputMethod.HAND)
    outcome, sure = Outlook(), None
    if upload.state == State.READY:
        outcome = outlook(upload)
        answered = request.POST if request.method == "POST" else None
        sure = SureForm(answered) if outcome.doubts else None
    if request.method == "POST" and (sure is None or sure.is_valid()):
        if upload.confirm(Actor.of(request)):
            upload_job.go_on(upload)
        if upload.state == State.READY and upload.error_code:
            messages.error(request, str(upload.explained))
            return redirect("entry_confirm", upload.pk)
    if upload.state != State.READY:
        if upload.state == State.LOADED:
            messages.success(request, _("The change is staged. Below you see where it is."))
        if upload.state == State.WAITING:
            messages.warning(request, words_of_waiting(upload.good))
            return redirect(upload)
        if not upload.report:  # it was not confirmed in time
            return redirect(upload)
        subject = upload.report["sample"][0]["cells"][0]
        return redirect(reverse("trace", query={"q": subject}))
    before = None
    try:
        before = earlier(upload, seconds=SECONDS)
    except TransferError as error:
        messages.error(request, str(explain(error)))
    second_person = words_of_foreseen(upload, request.user.get_username())
    return ask_to_confirm(request, _question(upload, outcome, sure, before, second_person))


def _question(
    upload: Upload,
    outcome: Outlook,
    sure: SureForm | None,
    before: Earlier | None,
    second_person: list[str],
) -> Confirmation:
    zone, cells = Settings.load().zone, upload.report["sample"][0]["cells"]
    points = [
        f"{heading(column.name)}: {text}"
        for column, cell in zip(upload.kind_spec.columns, cells, strict=True)
        if (text := cell_words(column.name, cell, zone))
    ]
    if before is not None:
        words = {"when": formats.moment(before.at), "who": before.by}
        points.append(_("The same change was loaded before: %(when)s, by %(who)s.") % words)
    text = _("It goes into %(table)s and moves to every bonus server with its next run.")
    action = _("Make the change")
    if second_person:
        text = _("It goes into %(table)s only after somebody else has approved it.")
        action = _("Ask for approval")
    return Confirmation(
        title=_("Make this change?"),
        text=text % {"table": upload.kind_spec.staging},
        points=points + outcome.points,
        doubts=outcome.doubts,
        second_person=second_person,
        form=sure,
        action=action,
        back=reverse("entry", args=[upload.kind]),
        danger=bool(sure),
    )
