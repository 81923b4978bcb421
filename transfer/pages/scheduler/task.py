"""One task: its page and its buttons."""

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
from transfer.models import (
    Actor,
    Settings,
    TransferTask,
)
from transfer.models.run_base import RunClosed
from transfer.models.schedules import ChangedMeanwhile, ScheduledTask
from transfer.pages import links
from transfer.pages.back import done, is_part, next_url, read_or_post
from transfer.pages.parts import audit_sentences, versions
from transfer.pages.parts.conflicts import ask_again, posted_version, who_did_what
from transfer.pages.parts.pauses import PauseForm, ReasonForm
from transfer.pages.parts.task_table import LastMaintenanceTable, LastRunTable
from transfer.pages.scheduler import started
from transfer.pages.scheduler.schedule_form import ScheduleForm
from transfer.pages.shown import task_rows
from transfer.pages.shown.task_rows import AT_ONCE, FAST, SLOW
from transfer.queue.locks import Space, is_held
from transfer.runs.backlog import ask_databases
from transfer.runs.start import RunIsOpen, run_now
from transfer.schedule import Schedule
from transfer.text import formats
from transfer.text.schedule import AS_ROWS_ARRIVE, clock_in_words, in_words

ENTRIES = 20


def shown_beside(request: HttpRequest, key: str) -> Any:
    """What the page shows beside the rows of our own database: see `refreshed`."""
    if request.GET:
        return None
    task = task_rows.find(key)
    if not isinstance(task, TransferTask):
        return ()
    return versions.of_backlogs(ask_databases([task], task_rows.patience(request)))


@require_safe
@versions.refreshed(also=shown_beside)
def task(request: HttpRequest, key: str) -> HttpResponse:
    """Everything about one task, which refreshes itself."""
    task = task_rows.find(key)
    row = task_rows.of_one(task, task_rows.patience(request), request.GET.get("changed"))
    task_rows.with_recent([row])
    task_rows.with_delays([row])
    context = {
        "row": row,
        "poll": FAST if row.run else SLOW,
        "runs": (LastRunTable if row.is_transfer else LastMaintenanceTable)(task.runs.all()[:10]),
        "entries": audit_sentences.latest(task, ENTRIES),
        **started.context(request),
    }
    if row.is_transfer and not row.asked_at and not is_part(request):
        context["poll"] = AT_ONCE
    page = "scheduler/task_live.html" if is_part(request) else "scheduler/task.html"
    return render(request, page, context)


def home(request: HttpRequest, task: ScheduledTask, *, changed: bool = False) -> str:
    """The address of the form's page. After a change the task's row there says what was done."""
    url = next_url(request, links.of_task(task))
    if not changed:
        return url
    key = links.key_of(task)
    url = links.with_query(url, changed=key, v=task.version, run=None)
    return url.partition("#")[0] + f"#{key}"


def answer(
    request: HttpRequest,
    task: ScheduledTask,
    change: Callable[..., None],
    wish: str,
    *,
    wanted: bool | None = None,
) -> HttpResponse:
    """Makes the change and redirects back. After a change by somebody else it asks first.

    `wanted`: the new state of a switch; if the other has set it so, nothing is left to do.
    """
    try:
        change(actor=Actor.of(request), expected_version=posted_version(request))
    except ChangedMeanwhile as conflict:
        if conflict.entry is None or conflict.task.enabled != wanted:
            return ask_again(request, conflict, wish, home(request, task))
        what = ", ".join(who_did_what(conflict.entry))
        messages.info(request, _("It was done already: %(what)s.") % {"what": what})
        return redirect(home(request, task))
    return redirect(home(request, task, changed=True))


@role("operator")
@require_POST
def switch(request: HttpRequest, key: str) -> HttpResponse:
    task, on = task_rows.find(key), request.POST.get("enabled") == "1"
    change = partial(task.switch, on, reason=request.POST.get("reason", "")[:500])
    wish = _("Switch on anyway") if on else _("Switch off anyway")
    return answer(request, task, change, wish, wanted=on)


@role("operator")
@require_POST
def undo(request: HttpRequest, key: str) -> HttpResponse:
    """Undoes the last switch; `enabled` is the state that the sender expects."""
    task, on = task_rows.find(key), request.POST.get("enabled") == "1"

    def change(actor: Actor, expected_version: int | None) -> None:
        # Without the version of a switch none is undone: no version is -1.
        task.undo_switch(actor, expected_version=expected_version or -1)

    return answer(request, task, change, _("Undo anyway"), wanted=on)


@role("operator")
@require_POST
def explain(request: HttpRequest, key: str) -> HttpResponse:
    """Adds the reason for the switch that was just pressed."""
    task, form = task_rows.find(key), ReasonForm(request.POST)
    if not form.is_valid():
        return redirect(home(request, task, changed=True))
    change = partial(task.explain_switch, reason=form.cleaned_data["reason"])
    return answer(request, task, change, _("Save the reason anyway"))


@role("operator")
@require_POST
def run(request: HttpRequest, key: str) -> HttpResponse:
    """Runs the task; with `dry`, counts what a maintenance task would remove.

    Redirects to the page that shows the run, or the one that was open already.
    """
    task = task_rows.find(key)
    try:
        if request.POST.get("dry") == "1" and getattr(task, "removes", False):
            return redirect(run_now(task, Actor.of(request), dry_run=True))
        run = run_now(task, Actor.of(request))
    except RunIsOpen as overlap:
        run = overlap.run
    return redirect(started.url_of(home(request, task), [run]))


@role("operator")
@require_POST
def cancel(request: HttpRequest, key: str) -> HttpResponse:
    """Ends the open run after its current step."""
    task = task_rows.find(key)
    opened = task.runs.open().first()
    try:
        if opened is None:
            raise RunClosed
        opened.cancel(Actor.of(request))
    except RunClosed:
        messages.info(request, _("%(task)s: no run is open any more.") % {"task": task})
        return redirect(home(request, task))
    if not opened.is_open:
        return done(request, _("The run is taken out of the queue."), home(request, task))
    return redirect(home(request, task))


@role("operator")
@read_or_post
def pause(request: HttpRequest, key: str) -> HttpResponse:
    task = task_rows.find(key)
    form = PauseForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        until, reason = form.cleaned_data["moment"], form.cleaned_data["reason"]
        change = partial(task.pause, until, reason=reason)
        try:
            return answer(request, task, change, _("Pause anyway"))
        except ValidationError:
            form.add_error("moment", _("The pause has to end in the future."))
    context = {"row": task_rows.of_one(task), "form": form, "back": home(request, task)}
    return render(request, "scheduler/pause.html", context)


@role("operator")
@require_POST
def resume(request: HttpRequest, key: str) -> HttpResponse:
    task = task_rows.find(key)
    return answer(request, task, task.resume, _("Resume anyway"))


@role("operator")
@read_or_post
def schedule(request: HttpRequest, key: str) -> HttpResponse:
    """The editor. Sent with `show`, it shows what the form's fields mean, and changes nothing."""
    task = task_rows.find(key)
    values = request.POST if request.method == "POST" else ScheduleForm.values_of(task.timing)
    form = ScheduleForm(values, reads_rows=task.READS_ROWS)
    timing = form.cleaned_data["schedule"] if form.is_valid() else None
    if request.method == "POST" and timing and "show" not in request.POST:
        try:
            task.reschedule(timing, Actor.of(request), expected_version=posted_version(request))
        except ChangedMeanwhile as conflict:
            return ask_again(request, conflict, _("Save my schedule anyway"), home(request, task))
        return done(request, _changed(task), home(request, task))
    zone = Settings.load().zone
    is_by_rows = timing == AS_ROWS_ARRIVE
    by_cron = Schedule.parse("" if is_by_rows or timing is None else timing)
    context = {
        "row": task_rows.of_one(task),
        "form": form,
        "next": home(request, task),
        "words": in_words(timing) if timing else "",
        "is_by_rows": is_by_rows,
        "is_looked_for": is_by_rows and is_held(Space.ARRIVALS, 0),
        "expressions": by_cron.expressions,
        "times": by_cron.next_times(5, timezone.now(), zone) if by_cron.expressions else [],
        "clock": clock_in_words(str(zone)),
    }
    return render(request, "scheduler/schedule.html", context)


def _changed(task: ScheduledTask) -> str:
    """The message after the schedule was changed."""
    at = formats.moment(task.upcoming_at)
    params = {"task": task, "words": in_words(task.timing), "at": at}
    if not task.enabled:
        return _("The schedule of “%(task)s” is changed: %(words)s. The task is off.") % params
    if task.as_rows_arrive:
        return _("The schedule of “%(task)s” is changed: %(words)s.") % params
    return _("The schedule of “%(task)s” is changed: %(words)s. Next run: %(at)s.") % params
