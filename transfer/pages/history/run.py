"""One run: what it did, why it failed, and what comes next."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from transfer.access import role
from transfer.causes.rows import reason_named
from transfer.models import Actor, MaintenanceRun, TransferRun
from transfer.models.run_base import BAD_STATES, GOOD_STATES, Run, RunClosed, State
from transfer.pages.back import read_or_post, refused
from transfer.pages.history.tables import MaintenanceRunTable, TransferRunTable
from transfer.pages.parts.confirmation import Confirmation, ask_to_confirm
from transfer.problems.of_tasks import answered_at
from transfer.runs import start, workers
from transfer.text import formats
from transfer.text.explain import Explanation, explain, started_by
from transfer.text.reports import run_report

POLL_SECONDS = {State.QUEUED: 3, State.RUNNING: 2}


@require_safe
def run(request: HttpRequest, pk: int, model: type[Run], page: str) -> HttpResponse:
    """Shows the page, or the part of it that changes during the run."""
    return render(request, page, described(run_of(model, pk)))


@require_safe
def run_row(request: HttpRequest, pk: int, model: type[Run]) -> HttpResponse:
    """Shows the run as a row of the history, which refreshes itself."""
    table = TransferRunTable if model is TransferRun else MaintenanceRunTable
    return render(request, "history/row.html", {"table": table([run_of(model, pk)])})


@role("operator")
@read_or_post
def run_cancel(request: HttpRequest, pk: int, model: type[Run]) -> HttpResponse:
    """Asks, then cancels: a queued run at once, a running one after its current step."""
    one = run_of(model, pk)
    if request.method != "POST" and one.is_open:
        return ask_to_confirm(request, confirmation(one))
    try:
        one.cancel(Actor.of(request))
    except RunClosed:
        return refused(request, _("There is nothing to cancel: the run has ended."), one)
    return redirect(one)


def confirmation(one: Any) -> Confirmation:
    return Confirmation(
        title=_("Cancel run %(number)s?") % {"number": one.pk},
        text=one.title,
        points=[
            _("It ends after the current step; what has been done stays done."),
            _("Nothing is lost: the next run does the rest."),
            _("The task stays enabled and runs again by its schedule."),
        ],
        action=_("Cancel the run"),
        back=one.get_absolute_url(),
        danger=True,
    )


@role("operator")
@require_POST
def run_again(request: HttpRequest, pk: int, model: type[Run]) -> HttpResponse:
    """Queues another run of the same task; a dry run is repeated as a dry run."""
    one = run_of(model, pk)
    if one.task is None:
        messages.error(request, _("The task of this run is no longer there."))
        return redirect(one)
    same: dict[str, Any] = {"dry_run": True} if getattr(one, "dry_run", False) else {}
    try:
        started = start.run_now(one.task, Actor.of(request), **same)
    except start.RunIsOpen as already:
        messages.info(request, _("The task already had an open run: here it is."))
        return redirect(already.run)
    return redirect(started)


def run_of(model: type[Run], pk: int) -> Any:
    related = ["actor", "task"] + (["task__server"] if model is TransferRun else [])
    return get_object_or_404(model._default_manager.select_related(*related), pk=pk)


def described(one: Any) -> dict[str, Any]:
    """The context of a run's page."""
    context = {
        "run": one,
        "is_transfer": isinstance(one, TransferRun),
        "poll": POLL_SECONDS.get(one.state),
        "starts": workers.when_it_starts() if one.state == State.QUEUED else "",
        "started_by": started_by(one),
        "cause": cause(one),
        "answered_at": answered_at(one),
        "is_bad": one.state in BAD_STATES,
        "is_whole": one.state in GOOD_STATES,
        **neighbours(one),
    }
    if isinstance(one, MaintenanceRun):
        return context | {"report": run_report(one)}
    return context | {
        "speed": speed(one),
        "reasons": reasons(one),
        "has_amounts": one.kind_spec.appends,
        "position_from": one.position_from and one.position_from["number"],
        "position_to": one.position_to and one.position_to["number"],
    }


def cause(one: Run) -> Explanation | None:
    """Why the run did not succeed."""
    if one.state == State.INTERRUPTED:
        return Explanation(
            _("The process that executed the run is gone."),
            _("Nothing was half done: the current step was rolled back. The next run goes on."),
        )
    if one.state == State.CANCELLED and one.cancelled_by:
        who = {"name": one.cancelled_by}
        return Explanation(_("%(name)s cancelled the run.") % who, _("The next run does the rest."))
    return one.explained


def neighbours(one: Any) -> dict[str, Any]:
    """The previous and the next run of the same task, and the last success before it."""
    if one.task is None:
        return {}
    before, after = one.task.runs.filter(pk__lt=one.pk), one.task.runs.filter(pk__gt=one.pk)
    return {
        "previous": before.order_by("-pk").first(),
        "following": after.order_by("pk").first(),
        "previous_success": before.good().order_by("-pk").first(),
    }


def speed(one: TransferRun) -> dict[str, str]:
    """Rows per second, and how long the rest takes at that rate."""
    seconds = one.seconds
    if not seconds or not one.read:
        return {}
    rate = one.read / seconds
    words = _("%(rows)s a second") % {"rows": formats.rows(max(round(rate), 1))}
    if one.expected <= one.read:
        return {"rate": words}
    left = formats.duration(max(round((one.expected - one.read) / rate), 1))
    return {"rate": words, "left": _("about %(left)s left") % {"left": left}}


def reasons(one: TransferRun) -> list[dict[str, Any]]:
    """The rejects of the run by reason, the most frequent first."""
    counted = sorted(one.count_reasons().items(), key=lambda pair: (-pair[1], pair[0]))
    return [
        {"code": code, "rows": rows, "reason": explain(reason_named(code))}
        for code, rows in counted
    ]
