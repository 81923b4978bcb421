"""Actions on several tasks of the scheduler."""

import re
from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _, gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from transfer.access import role
from transfer.models import Actor
from transfer.models.schedules import ChangedMeanwhile
from transfer.pages.back import next_url, refused
from transfer.pages.parts.conflicts import who_did_what
from transfer.pages.parts.pauses import PauseForm, ReasonForm
from transfer.pages.scheduler import started
from transfer.pages.shown import task_rows
from transfer.runs.backlog import AT_FIRST_SIGHT
from transfer.runs.start import RunIsOpen, run_now
from transfer.text import formats

CHOSEN = re.compile(r"((?:transfer|maintenance)-\d{1,9}):(\d{1,9})", re.ASCII)

# Action → the question, and the words of its button.
WORDS: dict[str, tuple[str | Promise, str | Promise]] = {
    "on": (gettext_lazy("Switch on the chosen tasks?"), gettext_lazy("Switch on")),
    "off": (gettext_lazy("Switch off the chosen tasks?"), gettext_lazy("Switch off")),
    "pause": (gettext_lazy("Pause the chosen tasks?"), gettext_lazy("Pause")),
}


def chosen(request: HttpRequest) -> dict[str, int]:
    """The keys of the ticked tasks, each with the version that the page showed.

    Malformed values are left out.
    """
    matches = (CHOSEN.fullmatch(text) for text in request.POST.getlist("task"))
    return {one[1]: int(one[2]) for one in matches if one}


@role("operator")
@require_POST
def bulk(request: HttpRequest) -> HttpResponse:
    action, tasks = request.POST.get("action", ""), chosen(request)
    back = next_url(request, reverse("scheduler"))
    if not tasks:
        words = _("Choose at least one task: tick the boxes on the left.")
        return refused(request, words, back)
    if action == "run":
        return run_all(request, tasks, back)
    if action not in WORDS:
        return redirect(back)
    confirmed = request.POST if "confirmed" in request.POST else None
    form = PauseForm(confirmed) if action == "pause" else ReasonForm(confirmed)
    if not confirmed or not form.is_valid():
        return ask_before_switching(request, action, tasks, form, back, {})
    late = change_all(tasks, action, form.cleaned_data, Actor.of(request))
    say_done(request, action, [key for key in tasks if key not in late])
    if late:  # somebody else has changed these
        return ask_before_switching(request, action, late, form, back, late)
    return redirect(back)


def run_all(request: HttpRequest, tasks: Iterable[str], back: str) -> HttpResponse:
    runs = []
    for key in tasks:
        try:
            runs.append(run_now(task_rows.find(key), Actor.of(request)))
        except RunIsOpen as overlap:
            runs.append(overlap.run)
    return redirect(started.url_of(back, runs))


def change_all(
    tasks: dict[str, int], action: str, answers: dict[str, Any], actor: Actor
) -> dict[str, ChangedMeanwhile]:
    """Changes each task on its own; returns those that somebody else changed meanwhile.

    `answers`: those to the form, the `reason` and of a pause the `moment` of its end.
    """
    late = {}
    for key, version in tasks.items():
        task = task_rows.find(key)
        by: dict[str, Any] = {"actor": actor, "reason": answers["reason"]}
        try:
            if action == "pause":
                task.pause(answers["moment"], **by, expected_version=version)
            else:
                task.switch(action == "on", **by, expected_version=version)
        except ChangedMeanwhile as conflict:
            late[key] = conflict
    return late


def say_done(request: HttpRequest, action: str, changed: list[str]) -> None:
    count = len(changed)
    if not count:
        return
    text = {
        "on": ngettext("%(n)d task is switched on.", "%(n)d tasks are switched on.", count),
        "off": ngettext("%(n)d task is switched off.", "%(n)d tasks are switched off.", count),
        "pause": ngettext("%(n)d task is paused.", "%(n)d tasks are paused.", count),
    }[action] % {"n": count}
    if action == "on":
        times = [task_rows.find(key).upcoming_at for key in changed]
        if first := min((at for at in times if at), default=None):
            text += " " + _("The first run: %(at)s.") % {"at": formats.moment(first)}
    messages.success(request, text)


def ask_before_switching(
    request: HttpRequest,
    action: str,
    keys: Iterable[str],
    form: Any,
    back: str,
    late: dict[str, ChangedMeanwhile],
) -> HttpResponse:
    """Shows what the action means for each task, and asks."""
    rows = task_rows.of([task_rows.find(key) for key in keys])
    task_rows.ask_backlogs(rows, AT_FIRST_SIGHT)
    title, button = WORDS[action]
    done = {key: who_did_what(conflict.entry) for key, conflict in late.items()}
    context = {
        "title": title,
        "button": button,
        "action": action,
        "rows": [(row, done.get(row.key, [])) for row in rows],
        "late": bool(late),
        "form": form,
        "back": back,
        "here": back,
    }
    return render(request, "scheduler/bulk.html", context, status=409 if late else 200)
