"""A bonus server's page: its accounts, its tasks, its reconciliation, its connection test."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from transfer.access import has_role, role
from transfer.errors import TransferError
from transfer.models import (
    AccountJob,
    Actor,
    BonusServer,
    Bulletin,
    CashRegister,
    Incident,
    LeftBehind,
    LogPlace,
    PlannedWork,
    TransferTask,
)
from transfer.pages.back import is_part
from transfer.pages.parts import versions
from transfer.pages.parts.account_tables import AccountTable
from transfer.pages.parts.accounts import summary
from transfer.pages.parts.incident_table import IncidentTable
from transfer.pages.parts.task_table import TaskTable
from transfer.pages.servers.accounts import filtered
from transfer.pages.servers.beginning import copies, lacking, undecided
from transfer.pages.servers.first_run import first_run
from transfer.pages.servers.forms import ServerForm, swapped
from transfer.pages.servers.tables import ReconciliationTable
from transfer.pages.shown import task_rows
from transfer.pages.tables import Action
from transfer.problems import doors
from transfer.problems.find import outage_of
from transfer.problems.kinds import rows_missing
from transfer.runs import backlog
from transfer.runs.reconcile import PATIENTLY, last_result, reconcile_within
from transfer.servers.checks import check_connections
from transfer.servers.stages import STAGES, note_test, run_all, run_stage
from transfer.text import bulletins, formats
from transfer.text.explain import Explanation, explain

# So long after its database has begun to fail it is not offered to go on without the server: most
# outages are over by then.
PATIENCE = timedelta(hours=1)
CALM = 15  # seconds between two looks at its tasks
DOORS = "doors"  # the last step of its connection test: what the page says of it is asked again
LABELS = [label for label, _test in STAGES.values()]
TO_TEST = "server_to_test"  # in a session: it has just been docked
ACTIONS = (
    Action("create", gettext_lazy("Create accounts")),
    Action("block", gettext_lazy("Block…"), "lock", danger=True),
    Action("unblock", gettext_lazy("Unblock…")),
    Action("renew", gettext_lazy("New credentials…"), "key", danger=True),
    Action("delete", gettext_lazy("Delete accounts…"), "trash", danger=True),
)


class ServerTasks(TaskTable):
    class Meta(TaskTable.Meta):
        exclude = ("choose", "server")
        orderable = False


@require_safe
def server(request: HttpRequest, pk: int) -> HttpResponse:
    """Shows the information about the server accounts."""
    server = get_object_or_404(BonusServer, pk=pk)
    chosen = filtered(server, request.GET)
    table = AccountTable(chosen.qs).paged(request)
    tasks = tasks_of(request, server, backlog.AT_FIRST_SIGHT)  # its doors say what was heard
    past = Incident.objects.past().filter(server=server)  # what was wrong with it and is over
    context = {
        "filter": chosen,
        "table": table,
        "any": CashRegister.objects.exists(),
        "actions": [
            one for one in ACTIONS if has_role(request.user, AccountJob.Action(one.name).needs)
        ],
        "missing": CashRegister.objects.in_use().unsettled(server).count(),
        "to_test": request.session.get(TO_TEST) == pk and request.session.pop(TO_TEST),
        "incidents": IncidentTable(past, prefix="incidents-").paged(request),
        **of_server(request, server),
        **tasks,
    }
    return render(request, "servers/server.html", context)


@require_safe
@versions.refreshed()
def server_live(request: HttpRequest, pk: int) -> HttpResponse:
    """The part of the page that refreshes itself."""
    server = get_object_or_404(BonusServer, pk=pk)
    return render(request, "servers/live.html", of_server(request, server))


@require_safe
def server_tasks(request: HttpRequest, pk: int) -> HttpResponse:
    """Its tasks, which refresh themselves."""
    server = get_object_or_404(BonusServer, pk=pk)
    context = {"server": server, **tasks_of(request, server, backlog.PATIENTLY)}
    return render(request, "servers/tasks.html", context)


def tasks_of(request: HttpRequest, server: BonusServer, seconds: float) -> dict[str, Any]:
    """Return its tasks, what waits for them, and what has to be decided first.

    Its database is asked for `seconds` at most; the part that comes later waits longer.
    """
    rows = task_rows.with_recent(task_rows.of(task_rows.transfer_tasks().filter(server=server)))
    task_rows.ask_backlogs(rows, seconds, request.GET.get("changed"))
    is_asked = all(row.asked_at for row in rows) or seconds == backlog.PATIENTLY
    if not is_asked:
        shown_again_after = task_rows.AT_ONCE
    else:
        shown_again_after = task_rows.FAST if any(row.run for row in rows) else CALM
    tasks = [row.task for row in rows]
    asks = {"undecided": undecided(tasks), "lacking": lacking(tasks), "copied_from": copies(tasks)}
    return {
        "tasks": ServerTasks(rows, prefix="tasks-").for_user(request.user),
        **asks,
        "first_run": None if any(asks.values()) else first_run(rows),
        "poll": shown_again_after,
        "here": server.get_absolute_url(),  # where the switches lead afterwards
    }


def of_server(request: HttpRequest, server: BonusServer) -> dict[str, Any]:
    untaken = server.account_jobs.with_secrets()
    in_use = CashRegister.objects.in_use().count()
    return {
        "server": server,
        **doors_of(server),
        **works_on(server),
        "told": told(server),
        "states": summary(server.accounts.count_states(), in_use),
        "jobs": server.account_jobs.pending(),
        "untaken": [(job, job.may_collect(request.user)) for job in untaken],
        "last_job": server.account_jobs.exclude(finished_at=None).first(),
    }


def told(server: BonusServer) -> list[tuple[Bulletin, str, str]]:
    """What people are told of a restore of this server, and have not dismissed."""
    listed = Bulletin.objects.open().filter(server=server)
    return [
        (one, bulletins.sentence(one.code, one.params), bulletins.note(one.code, one.params))
        for one in listed
    ]


def works_on(server: BonusServer) -> dict[str, list[PlannedWork]]:
    """The planned work that pauses the server's transfers now, and all other planned work."""
    now = timezone.now()
    coming = PlannedWork.objects.coming(now).select_related("server")
    works = list(coming.filter(Q(server=server) | Q(server=None)))
    pauses = [one for one in works if one.stops and one.begins_at <= now]
    return {"pauses": pauses, "works": [one for one in works if one not in pauses]}


def doors_of(server: BonusServer) -> dict[str, Any]:
    """What is true of its three doors, and of its transfers where all doors answer."""
    numbers = set(server.tasks.values_list("pk", flat=True))
    heard = [asked for number, asked in backlog.stored().items() if number in numbers]
    outage = outage_of(server)
    listed = doors.doors(server, heard, outage)
    state = doors.state(listed)
    is_said = state == BonusServer.State.FAILING
    hour_ago = timezone.now() - PATIENCE
    is_unread = any(
        door.name == "database" and door.error and (door.since or hour_ago) <= hour_ago
        for door in listed
    )
    return {
        "doors": listed,
        "state": state,
        "outage": None if is_said else outage,
        **left_behind(server, is_unread=is_unread),
    }


def left_behind(server: BonusServer, *, is_unread: bool) -> dict[str, Any]:
    """Whether purges wait for the server. `is_unread`: its database has failed for a while."""
    left = LeftBehind.objects.filter(task__server=server)
    missing = sum(one.missing for one in left)
    return {
        "left": left[0] if left else None,
        "gone": formats.sentence(rows_missing(missing)) if missing else "",
        "is_unread": is_unread,
    }


@require_safe
def server_reconciliation(request: HttpRequest, pk: int) -> HttpResponse:
    """Shows the last reconciliation of each task; `?now` counts first."""
    server = get_object_or_404(BonusServer, pk=pk)
    tasks = list(server.tasks.select_related("server"))
    counted = reconcile_within(PATIENTLY, tasks) if "now" in request.GET else {}
    lines = [reconciled(task, counted.get(task)) for task in tasks]
    table = ReconciliationTable(lines, prefix="reconciliation-")
    context = {"server": server, "table": table, "causes": causes(lines)}
    return render(request, "servers/reconciliation.html", context)


def causes(lines: Iterable[dict[str, Any]]) -> list[Explanation]:
    """Why tasks could not be counted, each cause once: a dead server is one for all of them."""
    found = {line["cause"].sentence: line["cause"] for line in lines if line["cause"]}
    return list(found.values())


def reconciled(task: TransferTask, counted: object) -> dict[str, Any]:
    """A task's line: what was counted last, what failed just now, how far it is in the log."""
    cause = explain(counted) if isinstance(counted, TransferError) else None
    line = {"task": task, "result": last_result(task), "cause": cause}
    return {**line, "place": place_in_log(task)}


def place_in_log(task: TransferTask) -> tuple[int, int] | None:
    """Return the last line of shop All's log that the server has passed, and the last there is.

    By our own history, which hears of both with each run.
    """
    run = task.runs.begun().that_may_have_moved().first()
    recorded = run.counted_to if run else None
    if recorded is None:
        return None
    seen = LogPlace.objects.filter(origin=recorded.origin, kind=task.kind).first()
    number = recorded.place.number
    return number, max(number, seen.number if seen else 0)


@role("operator")
@require_POST
def server_test(request: HttpRequest, pk: int) -> HttpResponse:
    """Tests the server as it is stored."""
    server = get_object_or_404(BonusServer, pk=pk)
    if is_part(request) and request.POST.get("stage") == DOORS:
        # All three doors at once, stored as each minute stores them: after a test the page says the
        # same of the server as the test above it.
        check_connections([server])
        server.refresh_from_db()
        backlog.store(backlog.backlogs(server.tasks.select_related("server")))
        return render(request, "servers/live.html", of_server(request, server))
    note_test(server, Actor.of(request))
    if is_part(request):
        return stages(request, server, then=DOORS)
    return render(request, "servers/test.html", {"server": server, **tested(server)})


@role("administrator")
@require_POST
def form_test(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Tests the values of the form before it is saved; an empty secret is the stored one.

    With `swap` the two ports change places first, in the form too.
    """
    stored = get_object_or_404(BonusServer, pk=pk) if pk else None
    is_swapped = "swap" in request.POST
    form = ServerForm(swapped(request.POST) if is_swapped else request.POST, instance=stored)
    is_valid = form.is_valid()
    if is_valid:
        note_test(form.instance, Actor.of(request))
    if is_part(request):
        swap = {"ports": form.ports_to_swap() if is_swapped else ()}
        if is_valid:
            return stages(request, form.instance, in_form=True, **swap)
        return render(request, "servers/test_invalid.html", {"form": form, **swap})
    results = {**tested(form.instance), "in_form": True} if is_valid else {}
    return render(request, "servers/form.html", {"form": form, "server": stored, **results})


def tested(server: BonusServer) -> dict[str, Any]:
    results = list(run_all(server))
    return {"results": results, "untried": LABELS[len(results) :]}


def stages(request: HttpRequest, server: BonusServer, **more: Any) -> HttpResponse:
    """Answers with one stage, and with the request for the next one.

    `more`: what the template has to know of the form that is tested.
    """
    names, stage = list(STAGES), request.POST.get("stage", "")
    tried = names.index(stage) + 1 if stage in names else 0
    results = [run_stage(stage, server)] if tried else []
    context = {"begins": not tried, "results": results, "url": request.path, **more}
    context["server"] = server
    if not all(result.ok for result in results):
        context["untried"] = LABELS[tried:]
    elif tried < len(names):
        place = {"number": tried + 1, "total": len(names)}
        context |= {"stage": names[tried], "label": LABELS[tried], **place}
    context["is_over"] = "stage" not in context
    return render(request, "servers/stages.html", context)
