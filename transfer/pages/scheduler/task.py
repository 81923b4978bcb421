"""One task: its page, and everything that is done to it."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from transfer.access import role
from transfer.models import Actor, Settings
from transfer.models.run_base import RunClosed
from transfer.models.schedules import ChangedMeanwhile, ScheduledTask
from transfer.pages import links
from transfer.pages.audit import words
from transfer.pages.back import next_url
from transfer.pages.scheduler import board
from transfer.pages.scheduler.conflicts import ask_again, told
from transfer.pages.scheduler.forms import PauseForm, ReasonForm, ScheduleForm
from transfer.pages.scheduler.tables import LastMaintenanceTable, LastRunTable
from transfer.runs import workers
from transfer.runs.start import RunIsOpen, run_now
from transfer.schedule import next_times
from transfer.words import formats
from transfer.words.schedule import in_words

ENTRIES = 20


@require_safe
def task(request: HttpRequest, key: str) -> HttpResponse:
    """Everything about one task; its upper part refreshes itself."""
    found = board.find(key)
    row = board.row(found, asking=bool(request.htmx) or "ask" in request.GET)  # type: ignore[attr-defined]
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "scheduler/task_live.html", {"row": row})
    context = {
        "row": row,
        "runs": (LastRunTable if row.is_transfer else LastMaintenanceTable)(found.runs.all()[:10]),
        "entries": words.latest(found, ENTRIES),
    }
    return render(request, "scheduler/task.html", context)


def seen(request: HttpRequest) -> int | None:
    """The version of the task that the sender's page showed."""
    number = request.POST.get("seen", "")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None


def home(request: HttpRequest, key: str, found: ScheduledTask | None = None) -> str:
    """Where the form stood. With a task, its row there says what was done to it."""
    url = next_url(request, links.of_task(board.find(key)))
    if found is None:
        return url
    return links.with_query(url, changed=key, v=found.version).partition("#")[0] + f"#{key}"


def done_already(
    request: HttpRequest, conflict: ChangedMeanwhile, action: str, back: str
) -> HttpResponse:
    """Somebody else switched it first: to what was wished for, or the other way."""
    if conflict.entry and conflict.task.enabled == (request.POST.get("enabled") == "1"):
        what = ", ".join(told(conflict.entry))
        messages.info(request, _("It was done already: %(what)s.") % {"what": what})
        return redirect(back)
    return ask_again(request, conflict, action, back)


@role("operator")
@require_POST
def switch(request: HttpRequest, key: str) -> HttpResponse:
    found, on = board.find(key), request.POST.get("enabled") == "1"
    reason = request.POST.get("reason", "")[:500]
    try:
        found.switch(on, Actor.of(request), reason=reason, expected_version=seen(request))
    except ChangedMeanwhile as conflict:
        wish = _("Switch on all the same") if on else _("Switch off all the same")
        return done_already(request, conflict, wish, home(request, key))
    return redirect(home(request, key, found))


@role("operator")
@require_POST
def undo(request: HttpRequest, key: str) -> HttpResponse:
    """Takes the last switch back; `enabled` says what that means to the sender."""
    found = board.find(key)
    version = seen(request)
    try:
        found.undo_switch(Actor.of(request), expected_version=-1 if version is None else version)
    except ChangedMeanwhile as conflict:
        return done_already(request, conflict, _("Undo all the same"), home(request, key))
    return redirect(home(request, key, found))


@role("operator")
@require_POST
def explain(request: HttpRequest, key: str) -> HttpResponse:
    """Adds the reason of a switch that was pressed a moment ago."""
    found, form = board.find(key), ReasonForm(request.POST)
    if form.is_valid():
        try:
            found.explain_switch(
                form.cleaned_data["reason"], Actor.of(request), expected_version=seen(request)
            )
        except ChangedMeanwhile as conflict:
            return ask_again(request, conflict, _("Note it all the same"), home(request, key))
    return redirect(home(request, key, found))


@role("operator")
@require_POST
def run(request: HttpRequest, key: str) -> HttpResponse:
    """With `dry`, what a maintenance task would remove is found out, and shown."""
    found = board.find(key)
    try:
        if request.POST.get("dry") == "1" and getattr(found, "removes", False):
            return redirect(run_now(found, Actor.of(request), dry_run=True))
        run_now(found, Actor.of(request))
        said = _("%(task)s: a run is in the queue.") % {"task": found}
        messages.success(request, f"{said} {workers.when_it_starts()}")
    except RunIsOpen:
        messages.info(request, _("%(task)s: a run is under way already.") % {"task": found})
    return redirect(home(request, key))


@role("operator")
@require_POST
def cancel(request: HttpRequest, key: str) -> HttpResponse:
    """Ends the run under way, after its chunk."""
    found = board.find(key)
    opened = found.runs.open().first()
    try:
        if opened is None:
            raise RunClosed
        opened.cancel(Actor.of(request))
    except RunClosed:
        messages.info(request, _("%(task)s: no run is under way any more.") % {"task": found})
    else:
        messages.success(request, cancelled_words(opened))
    return redirect(home(request, key))


def cancelled_words(run: Any) -> str:
    if run.is_open:
        return _("The run ends after the chunk under way. What it has moved stays moved.")
    return _("The run is taken out of the queue.")


@role("operator")
@require_http_methods(["GET", "HEAD", "POST"])
def pause(request: HttpRequest, key: str) -> HttpResponse:
    found = board.find(key)
    form = PauseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        until, reason = form.cleaned_data["moment"], form.cleaned_data["reason"]
        try:
            found.pause(until, Actor.of(request), reason=reason, expected_version=seen(request))
        except ChangedMeanwhile as conflict:
            return ask_again(request, conflict, _("Pause all the same"), home(request, key))
        except ValidationError:
            form.add_error("moment", _("The pause has to end in the future."))
        else:
            return redirect(home(request, key, found))
    context = {"row": board.row(board.find(key)), "form": form, "back": home(request, key)}
    return render(request, "scheduler/pause.html", context)


@role("operator")
@require_POST
def resume(request: HttpRequest, key: str) -> HttpResponse:
    found = board.find(key)
    try:
        found.resume(Actor.of(request), expected_version=seen(request))
    except ChangedMeanwhile as conflict:
        return ask_again(request, conflict, _("Resume all the same"), home(request, key))
    return redirect(home(request, key, found))


@role("operator")
@require_http_methods(["GET", "HEAD", "POST"])
def schedule(request: HttpRequest, key: str) -> HttpResponse:
    """The editor. Asked with the form's fields in the URL, it shows what they would mean."""
    found = board.find(key)
    if request.method == "POST":
        form = ScheduleForm(request.POST)
    elif "rhythm" in request.GET:
        form = ScheduleForm(request.GET)
    else:
        form = ScheduleForm(ScheduleForm.values_of(found.schedule))
    cron = form.cleaned_data["schedule"] if form.is_valid() else None
    if request.method == "POST" and cron:
        try:
            found.reschedule(cron, Actor.of(request), expected_version=seen(request))
        except ChangedMeanwhile as conflict:
            return ask_again(
                request, conflict, _("Use my schedule all the same"), home(request, key)
            )
        told = {"words": in_words(cron), "at": formats.moment(found.upcoming_at)}
        if found.enabled:
            messages.success(
                request, _("The schedule is changed: %(words)s. Next run: %(at)s.") % told
            )
        else:
            messages.success(
                request, _("The schedule is changed: %(words)s. The task is off.") % told
            )
        return redirect(home(request, key))
    zone = Settings.load().zone
    context = {
        "row": board.row(found),
        "form": form,
        "next": home(request, key),
        "words": in_words(cron) if cron else "",
        "cron": cron,
        "times": next_times(cron, 5, timezone.now(), zone) if cron else [],
        "zone_name": str(zone),
    }
    return render(request, "scheduler/schedule.html", context)
