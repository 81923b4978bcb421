"""Does everything arrive?"""

from datetime import timedelta
from typing import Any

from django.db.models import Count, F, Min
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe
from django_tasks_db.models import DBTaskResult

from transfer.models import Heartbeat, MaintenanceTask, PlannedWork, RegisterAccount, TransferRun
from transfer.models.accounts import AccountState
from transfer.models.tasks import KindChoices
from transfer.pages import links
from transfer.pages.back import is_part
from transfer.pages.overview.problems import problems
from transfer.pages.scheduler import status
from transfer.pages.scheduler.status import TaskStatus
from transfer.runs import workers
from transfer.words import formats

FAST, SLOW = 2, 15  # seconds between two looks: while something runs, and while nothing does
NEXT = 6
DAY = 24


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """At once with what is known; then the page asks the servers, and refreshes itself."""
    page = "overview/live.html" if is_part(request) else "overview/overview.html"
    return render(request, page, look(status.patience(request)))


def look(seconds: float) -> dict[str, Any]:
    rows = status.of(status.transfer_tasks())
    status.ask(rows, seconds)
    upkeep = status.of(MaintenanceTask.objects.with_runs())
    heartbeat = Heartbeat.last()
    running = [row for row in [*rows, *upkeep] if row.run]
    asked = all(row.asked_at for row in rows)
    return {
        "rows": rows,
        "servers": by_server(rows),
        "backlog": backlog_now(rows) if asked else formats.NOTHING,
        "unknown": sum(row.backlog.rows is None for row in rows) if asked else 0,
        "kinds": KindChoices.labels,
        "problems": problems([*rows, *upkeep], heartbeat),
        "works": PlannedWork.objects.coming().select_related("server"),
        "asked": asked,
        "asked_at": min((row.asked_at for row in rows if row.asked_at), default=None),
        "running": running,
        "upcoming": upcoming([*rows, *upkeep]),
        "registers": registers(),
        "day": last_day(),
        "heartbeats": list(Heartbeat.objects.all()[:5]),
        "heartbeat": heartbeat,
        "queue": DBTaskResult.objects.ready().aggregate(oldest=Min("enqueued_at")),
        "workers": formats.sentence(workers.in_words(workers.seen())),
        "switched": {"on": sum(row.task.enabled for row in rows), "all": len(rows)},
        "poll": (FAST if running else SLOW) if asked else 0.2,
    }


def backlog_now(rows: list[TaskStatus]) -> str:
    """How many rows wait in all, as far as that is known."""
    known = [row for row in rows if row.backlog.rows is not None]
    if rows and not known:
        return formats.NOTHING
    more = any(row.backlog.is_capped for row in known)
    return formats.number(sum(row.backlog.rows or 0 for row in known)) + ("+" if more else "")


def by_server(rows: list[TaskStatus]) -> list[tuple[Any, list[TaskStatus]]]:
    """Server → its flows, in the order of the kinds."""
    flows: dict[Any, list[TaskStatus]] = {}
    for row in sorted(rows, key=lambda row: row.kind_order):
        flows.setdefault(row.task.server, []).append(row)
    return sorted(flows.items(), key=lambda one: str(one[0]))


def upcoming(rows: list[TaskStatus]) -> list[TaskStatus]:
    planned = [row for row in rows if row.task.upcoming_at]
    return sorted(planned, key=lambda row: row.task.upcoming_at)[:NEXT]


def registers() -> list[tuple[AccountState, int, str]]:
    """The registers in use by their state on any server, the worst first, and the list of them."""
    accounts = RegisterAccount.objects.filter(register__mothballed=False).with_shown().order_by()
    counted = accounts.values_list(F("shown_state")).annotate(Count("register", distinct=True))
    count = dict(counted)
    return [(one, count[one], links.registers(state=one)) for one in AccountState if one in count]


def last_day() -> dict[str, Any]:
    """Runs and rows of the last 24 hours, and where each number leads."""
    since = timezone.now() - timedelta(hours=DAY)
    totals = TransferRun.objects.filter(queued_at__gte=since).totals()
    totals["url"] = links.history(hours=DAY)
    for state in ("good", "bad", "rejects", "skipped"):
        totals[f"{state}_url"] = links.history(hours=DAY, state=state)
    return totals
