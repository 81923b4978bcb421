"""Is everything getting through?"""

from collections.abc import Callable
from itertools import groupby
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from transfer.models import (
    Bulletin,
    CashRegister,
    Heartbeat,
    MaintenanceTask,
    PlannedWork,
    TransferRun,
    TransferTask,
)
from transfer.models.accounts import AccountState, count_registers
from transfer.models.flow_hours import added as added_delays, most_within
from transfer.pages.back import is_part
from transfer.pages.overview.problem import hidden_from
from transfer.pages.overview.rests import rests
from transfer.pages.overview.set_up import set_up
from transfer.pages.parts import folds, versions
from transfer.pages.parts.accounts import MOTHBALLED
from transfer.pages.parts.runs import TransferRunFilter, summary
from transfer.pages.shown import task_rows
from transfer.pages.shown.flows import scheme
from transfer.pages.shown.looks import look, tone
from transfer.pages.shown.task_groups import added_once, oldest
from transfer.pages.shown.task_status import TaskStatus
from transfer.problems.find import problems
from transfer.problems.groups import grouped
from transfer.problems.history import night
from transfer.problems.incidents import with_incidents
from transfer.problems.problem import Problem
from transfer.queue.residents import count_workers
from transfer.runs import workers
from transfer.runs.backlog import ask_databases
from transfer.text import bulletins, formats

FAST, SLOW = 2, 15  # seconds between refreshes, with and without an open run
NEXT = 6  # runs, those of now and those to come
LISTED = 30  # problems: a hundred dark shops do not push the rest off the page
DAY = 24
FINE = 0  # the key of the fold of all servers with nothing wrong; of others it is their number
# The heading of registers, by the tone of their state.
URGENCY = {
    "bad": gettext_lazy("Urgent"),
    "warn": gettext_lazy("Worth a look"),
    "info": gettext_lazy("Nothing to do"),
    "ok": gettext_lazy("Nothing to do"),
    "idle": gettext_lazy("Not in use"),
}


def shown_beside(request: HttpRequest) -> Any:
    """What the page shows beside the rows of our own database: see `refreshed`.

    Whether shop All has its tables is known from what its tasks have heard; without a task it is
    asked as the page is made.
    """
    tasks = [*TransferTask.objects.select_related("server")]
    if not tasks:
        return None
    heard = ask_databases(tasks, task_rows.patience(request))
    return (versions.of_backlogs(heard), workers.oldest_entry(), count_workers())


@require_safe
@versions.refreshed(also=shown_beside)
def overview(request: HttpRequest) -> HttpResponse:
    """Shows what is known at once; then the page asks the servers, and refreshes itself."""
    page = "overview/live.html" if is_part(request) else "overview/overview.html"
    shown = context(task_rows.patience(request), request.user)
    # The servers with nothing wrong, whose lines come once their fold is opened.
    fine = {
        "key": FINE,
        "is_open": FINE in folds.opened(request, [FINE]),
        "url": folds.url_of(request, {FINE}),
    }
    return render(request, page, {**shown, "fine": fine})


def context(seconds: float, user: Any) -> dict[str, Any]:
    rows = task_rows.of(task_rows.transfer_tasks())
    task_rows.ask_backlogs(rows, seconds)
    task_rows.with_delays(rows)
    maintenance = task_rows.of(MaintenanceTask.objects.with_runs())
    heartbeats = list(Heartbeat.objects.all())
    running = [row for row in [*rows, *maintenance] if row.run]
    asked = all(row.asked_at for row in rows)
    wrong = grouped(problems_for(user, [*rows, *maintenance]))
    works = [*PlannedWork.objects.coming().select_related("server")]
    nights = night(timezone.now(), hidden_from(user))
    return {
        "rows": rows,
        "scheme": scheme(rows),
        "backlog": backlog_now(rows) if asked else formats.NOTHING,
        "backlog_short": backlog_now(rows, formats.short_number) if asked else formats.NOTHING,
        "oldest": oldest(rows),
        "within": within(rows),
        "told": told(),
        "problems": wrong[:LISTED],
        "more_problems": max(len(wrong) - LISTED, 0),
        "night": nights[:LISTED],
        "more_nights": max(len(nights) - LISTED, 0),
        "steps": set_up(rows, user, seconds),
        "works": works,
        "rests": rests(rows, works),
        "asked": asked,
        "asked_at": min((row.asked_at for row in rows if row.asked_at), default=None),
        "running": running[:NEXT],
        "all_running": len(running),
        "upcoming": upcoming([*rows, *maintenance]),
        "registers": registers(),
        "day": last_day(),
        "heartbeats": heartbeats[:5],
        "heartbeat": Heartbeat.last_of(heartbeats),
        "oldest_entry": workers.oldest_entry(),
        "workers": formats.sentence(workers.in_words(count_workers())),
        "switched": {"on": sum(row.task.enabled for row in rows), "all": len(rows)},
        "poll": (FAST if running else SLOW) if asked else 0.2,
    }


def told() -> list[tuple[Bulletin, str, str]]:
    """What people are told of restores, and have not dismissed: each with its sentence and note."""
    return [
        (one, bulletins.sentence(one.code, one.params), bulletins.note(one.code, one.params))
        for one in Bulletin.objects.open()[:LISTED]
    ]


def problems_for(user: Any, rows: list[TaskStatus]) -> list[Problem]:
    """The problems that this user may see, by the latest answers of the databases."""
    heard = {row.task.pk: row.backlog for row in rows if row.is_transfer and row.asked_at}
    listed = with_incidents(problems(tasks=[row.task for row in rows], heard=heard))
    return [one for one in listed if one.code not in hidden_from(user)]


def backlog_now(rows: list[TaskStatus], shown: Callable[[int | None], str] = formats.number) -> str:
    """How many rows wait, each counted once, however many servers it goes to."""
    if not rows:
        return shown(0)
    waiting = added_once(rows)
    return shown(waiting.rows) + ("+" if waiting.is_least else "")


def within(rows: list[TaskStatus]) -> str:
    """The time within which most rows of all transfers arrived; empty if none did."""
    seconds = most_within(added_delays([row.delays for row in rows]))
    return formats.within(seconds) if seconds else ""


def upcoming(rows: list[TaskStatus]) -> list[TaskStatus]:
    """The tasks that run next, without those that run as rows arrive."""
    planned = [row for row in rows if row.task.upcoming_at and not row.runs_as_rows_arrive]
    return sorted(planned, key=lambda row: row.task.upcoming_at)[:NEXT]


def registers() -> list[tuple[str, list[tuple[str, str, int, str]]]]:
    """The registers on all servers, the urgent ones first: the heading of each group, and of each
    state its tone, its words, the number of registers, and the address of their list.
    """
    count = count_registers()
    lines = [
        (
            tone(one, "account"),
            str(one.label),
            count[one],
            reverse("registers", query={"state": one}),
        )
        for one in AccountState
        if one in count
    ]
    if idle := CashRegister.objects.filter(mothballed=True).count():
        mothballed = look("mothballed", "register")
        url = reverse("registers", query={"state": MOTHBALLED})
        lines.append((mothballed.tone, str(mothballed.word), idle, url))
    lines.sort(key=lambda line: list(URGENCY).index(line[0]))
    grouped = groupby(lines, lambda line: URGENCY[line[0]])
    return [(str(heading), list(group)) for heading, group in grouped]


def last_day() -> dict[str, Any]:
    """Runs and rows of the last 24 hours, also by the hour, and the address behind each number."""
    day = TransferRunFilter(QueryDict(f"hours={DAY}"), TransferRun.objects.all())
    urls = {
        f"{state}_url": reverse("history", query={"hours": DAY, "state": state})
        for state in ("good", "bad", "rejects", "skipped")
    }
    return {**summary(day), "url": reverse("history", query={"hours": DAY}), **urls}
