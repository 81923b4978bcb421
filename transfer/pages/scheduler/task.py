"""One task: its page, and everything that is done to it."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from transfer.access import role
from transfer.models import Actor, Settings
from transfer.models.run_base import RunClosed
from transfer.models.schedules import ChangedMeanwhile, ScheduledTask
from transfer.pages import links
from transfer.pages.audit import words
from transfer.pages.back import is_part, next_url, read_or_post
from transfer.pages.scheduler import status
from transfer.pages.scheduler.conflicts import ask_again, in_lines, seen
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
    task = status.find(key)
    row = status.of_one(task, asking=is_part(request) or "ask" in request.GET)
    if is_part(request):
        return render(request, "scheduler/task_live.html", {"row": row})
    context = {
        "row": row,
        "runs": (LastRunTable if row.is_transfer else LastMaintenanceTable)(task.runs.all()[:10]),
        "entries": words.latest(task, ENTRIES),
    }
    return render(request, "scheduler/task.html", context)


def home(request: HttpRequest, task: ScheduledTask) -> str:
    """Where the form stood."""
    return next_url(request, links.of_task(task))


def change(
    request: HttpRequest, task: ScheduledTask, wish: str, work: Callable[[], None]
) -> HttpResponse:
    """Does the work, and goes back to where the task's row says what was done to it.

    Where somebody else was faster, the sender is asked whether to do it all the same: `wish` are
    the words of that button. A switch that stands already as was wished for is left alone.
    """
    back, enabled = home(request, task), request.POST.get("enabled")
    try:
        work()
    except ChangedMeanwhile as conflict:
        if not conflict.entry or enabled is None or conflict.task.enabled != (enabled == "1"):
            return ask_again(request, conflict, wish, back)
        what = ", ".join(in_lines(conflict.entry))
        messages.info(request, _("It was done already: %(what)s.") % {"what": what})
        return redirect(back)
    key = links.key_of(task)
    return redirect(
        links.with_query(back, changed=key, v=task.version).partition("#")[0] + f"#{key}"
    )


@role("operator")
@require_POST
def switch(request: HttpRequest, key: str) -> HttpResponse:
    task, on = status.find(key), request.POST.get("enabled") == "1"
    reason = request.POST.get("reason", "")[:500]
    wish = _("Switch on all the same") if on else _("Switch off all the same")
    switching = partial(task.switch, on, Actor.of(request), reason=reason)
    return change(request, task, wish, partial(switching, expected_version=seen(request)))


@role("operator")
@require_POST
def undo(request: HttpRequest, key: str) -> HttpResponse:
    """Takes the last switch back; `enabled` says what that means to the sender."""
    task, version = status.find(key), seen(request)
    version = -1 if version is None else version
    undoing = partial(task.undo_switch, Actor.of(request), expected_version=version)
    return change(request, task, _("Undo all the same"), undoing)


@role("operator")
@require_POST
def explain(request: HttpRequest, key: str) -> HttpResponse:
    """Adds the reason of a switch that was pressed a moment ago."""
    task, form = status.find(key), ReasonForm(request.POST)

    def explaining() -> None:
        if form.is_valid():
            reason, actor = form.cleaned_data["reason"], Actor.of(request)
            task.explain_switch(reason, actor, expected_version=seen(request))

    return change(request, task, _("Note it all the same"), explaining)


@role("operator")
@require_POST
def run(request: HttpRequest, key: str) -> HttpResponse:
    """With `dry`, what a maintenance task would remove is counted, and shown."""
    task = status.find(key)
    try:
        if request.POST.get("dry") == "1" and getattr(task, "removes", False):
            return redirect(run_now(task, Actor.of(request), dry_run=True))
        run_now(task, Actor.of(request))
        text = _("%(task)s: a run is in the queue.") % {"task": task}
        messages.success(request, f"{text} {workers.when_it_starts()}")
    except RunIsOpen:
        messages.info(request, _("%(task)s: a run is under way already.") % {"task": task})
    return redirect(home(request, task))


@role("operator")
@require_POST
def cancel(request: HttpRequest, key: str) -> HttpResponse:
    """Ends the run under way, after its chunk."""
    task = status.find(key)
    opened = task.runs.open().first()
    try:
        if opened is None:
            raise RunClosed
        opened.cancel(Actor.of(request))
    except RunClosed:
        messages.info(request, _("%(task)s: no run is under way any more.") % {"task": task})
    else:
        messages.success(request, cancelled_words(opened))
    return redirect(home(request, task))


def cancelled_words(run: Any) -> str:
    if run.is_open:
        return _("The run ends after the chunk under way. What it has moved stays moved.")
    return _("The run is taken out of the queue.")


@role("operator")
@read_or_post
def pause(request: HttpRequest, key: str) -> HttpResponse:
    task = status.find(key)
    form = PauseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        until, reason = form.cleaned_data["moment"], form.cleaned_data["reason"]
        pausing = partial(task.pause, until, Actor.of(request), reason=reason)
        pausing = partial(pausing, expected_version=seen(request))
        try:
            return change(request, task, _("Pause all the same"), pausing)
        except ValidationError:
            form.add_error("moment", _("The pause has to end in the future."))
    context = {"row": status.of_one(task), "form": form, "back": home(request, task)}
    return render(request, "scheduler/pause.html", context)


@role("operator")
@require_POST
def resume(request: HttpRequest, key: str) -> HttpResponse:
    task = status.find(key)
    resuming = partial(task.resume, Actor.of(request), expected_version=seen(request))
    return change(request, task, _("Resume all the same"), resuming)


@role("operator")
@read_or_post
def schedule(request: HttpRequest, key: str) -> HttpResponse:
    """The editor. Asked with the form's fields in the URL, it shows what they would mean."""
    task = status.find(key)
    if request.method == "POST":
        form = ScheduleForm(request.POST)
    elif "rhythm" in request.GET:
        form = ScheduleForm(request.GET)
    else:
        form = ScheduleForm(ScheduleForm.values_of(task.schedule))
    cron, back = form.cleaned_data["schedule"] if form.is_valid() else None, home(request, task)
    if request.method == "POST" and cron:
        try:
            task.reschedule(cron, Actor.of(request), expected_version=seen(request))
        except ChangedMeanwhile as conflict:
            return ask_again(request, conflict, _("Use my schedule all the same"), back)
        text = _("The schedule is changed: %(words)s. The task is off.")
        if task.enabled:
            text = _("The schedule is changed: %(words)s. Next run: %(at)s.")
        at = formats.moment(task.upcoming_at)
        messages.success(request, text % {"words": in_words(cron), "at": at})
        return redirect(back)
    zone = Settings.load().zone
    context = {
        "row": status.of_one(task),
        "form": form,
        "next": back,
        "words": in_words(cron) if cron else "",
        "cron": cron,
        "times": next_times(cron, 5, timezone.now(), zone) if cron else [],
        "zone_name": str(zone),
    }
    return render(request, "scheduler/schedule.html", context)
