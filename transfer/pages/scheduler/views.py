"""All tasks: transfers, which a setting may hide, and maintenance."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from transfer.models import (
    BonusServer,
    Heartbeat,
    MaintenanceTask,
    Settings,
    TransferTask,
)
from transfer.pages.back import is_part, next_url
from transfer.pages.parts import folds, versions
from transfer.pages.parts.task_table import GroupedTaskTable, MaintenanceTable, TaskTable
from transfer.pages.scheduler import started
from transfer.pages.scheduler.filters import TaskFilter
from transfer.pages.shown import task_rows
from transfer.pages.shown.task_groups import MANY, by_server
from transfer.pages.shown.task_rows import AT_ONCE, FAST, SLOW
from transfer.pages.shown.task_status import TaskStatus
from transfer.pages.tables import Action, page_size
from transfer.problems.find import outages_now
from transfer.problems.groups import grouped
from transfer.runs.backlog import ask_databases

ACTIONS = (
    Action("on", gettext_lazy("Switch on")),
    Action("off", gettext_lazy("Switch off")),
    Action("pause", gettext_lazy("Pause…")),
    Action("run", gettext_lazy("Run now")),
)
SORTED_BY_RUNS = {"waits", "runs"}
OWN_CHOICE = "show_transfer_tasks"


def shown_beside(request: HttpRequest) -> Any:
    """What the page shows beside the rows of our own database: see `refreshed`."""
    if not set(request.GET) <= {folds.OPEN}:
        return None
    settings = Settings.load()
    if not shows_transfers(request, settings):
        return (False,)
    if BonusServer.objects.count() > GroupedTaskTable.page_sizes[0]:
        return None
    tasks = TransferTask.objects.select_related("server")
    return (True, versions.of_backlogs(ask_databases(tasks, task_rows.patience(request))))


@require_safe
@versions.refreshed(also=shown_beside)
def scheduler(request: HttpRequest) -> HttpResponse:
    """Shows both tables, which refresh themselves."""
    settings = Settings.load()
    shown = shows_transfers(request, settings)
    context: dict[str, Any] = {
        "settings": settings,
        "shown": shown,
        "shows_own": not settings.show_transfer_tasks and request.session.get(OWN_CHOICE),
        "heartbeat": Heartbeat.last(),
        "here": request.get_full_path(),
        "maintenance": maintenance(request),
        "actions": ACTIONS,
        "hidden": None if shown else hidden(),
        "outages": grouped(outages_now()) if shown else [],
        **started.context(request),
        **folds.urls(request),
    }
    if shown:
        tasks = TaskFilter(request.GET, TransferTask.objects.select_related("server"))
        table = transfers(request, tasks)
        context |= {"filter": tasks, "table": table, "any": TransferTask.objects.exists()}
        rows = [one.record for one in table.paginated_rows] + list(context["maintenance"].data)
    else:
        rows = list(context["maintenance"].data)
    context["changed_row"] = changed(request, rows)
    context["poll"] = FAST if any(row.run for row in rows) else SLOW
    if not all(row.asked_at for row in rows if row.is_transfer) and not is_part(request):
        context["poll"] = AT_ONCE
    # The filter also needs its chips, which are outside of the part that refreshes.
    part = is_part(request) and request.htmx.trigger != "filter"  # type: ignore[attr-defined]
    return render(request, "scheduler/live.html" if part else "scheduler/scheduler.html", context)


def changed(request: HttpRequest, rows: list[TaskStatus]) -> TaskStatus | None:
    """The task that the user has just changed, unless somebody changed it since."""
    wanted = (request.GET.get("changed"), request.GET.get("v"))
    return next((row for row in rows if (row.key, str(row.task.version)) == wanted), None)


def transfers(request: HttpRequest, tasks: TaskFilter) -> TaskTable:
    """The tasks, and what waits for them: of many servers in groups, unless they are filtered or
    sorted.
    """
    if tasks.active or "sort" in request.GET or BonusServer.objects.count() < MANY:
        return in_lines(request, tasks)
    return in_groups(request)


def in_groups(request: HttpRequest) -> TaskTable:
    """Reads all tasks, since the worst servers come first. Only those of the page are asked what
    waits, and only open groups have the last runs of their tasks.
    """
    groups = by_server(task_rows.of(task_rows.transfer_tasks()))
    size = page_size(request, GroupedTaskTable.page_sizes)
    page = Paginator(groups, size).get_page(request.GET.get("page"))
    rows = [row for group in page for row in group.rows]
    changed = request.GET.get("changed")
    task_rows.ask_backlogs(rows, task_rows.patience(request), changed)
    page.object_list = by_server(rows)  # their order as just asked
    opened = folds.opened(request, [group.server.pk for group in page])
    opened |= {row.task.server_id for row in rows if row.key == changed}
    table = GroupedTaskTable(page, opened, request).for_user(request.user)
    task_rows.with_recent(table.rows_of_open)
    return table


def in_lines(request: HttpRequest, tasks: TaskFilter) -> TaskTable:
    """Reads the tasks of the page alone, and asks what waits for them: there may be many.

    Only for an order by what waits or by the last runs all of them are read.
    """
    listed = task_rows.sortable(tasks.qs.with_runs())
    if {name.lstrip("-") for name in request.GET.getlist("sort")} & SORTED_BY_RUNS:
        listed = task_rows.of(listed)
    table = TaskTable(listed).paged(request)
    rows = [one.record for one in table.paginated_rows]
    if not isinstance(listed, list):
        rows = task_rows.of(rows)
    table.show(task_rows.with_recent(rows))
    task_rows.ask_backlogs(rows, task_rows.patience(request), request.GET.get("changed"))
    return table


def maintenance(request: HttpRequest) -> TaskTable:
    rows = task_rows.with_recent(task_rows.of(MaintenanceTask.objects.with_runs()))
    return MaintenanceTable(rows, prefix="m-", orderable=False).for_user(request.user)


def shows_transfers(request: HttpRequest, settings: Settings) -> bool:
    """Whether transfers are shown: by the setting, or to this user, who wants to see them.

    A link to chosen tasks shows them in any case.
    """
    if settings.show_transfer_tasks or request.session.get(OWN_CHOICE):
        return True
    asked_for = {"server", "kind", "state", "sort"} & set(request.GET)
    return bool(asked_for) or request.GET.get("changed", "").startswith("transfer")


def hidden() -> dict[str, int]:
    tasks = TransferTask.objects.all()
    return {"count": tasks.count(), "enabled": tasks.enabled().count()}


@require_POST
def show_transfers(request: HttpRequest) -> HttpResponse:
    """Shows transfers that the setting hides to this user until log-out, or hides them again."""
    request.session[OWN_CHOICE] = request.POST.get("enabled") == "1"
    return redirect(next_url(request, "scheduler"))
