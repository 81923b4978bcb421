"""Reads the status of tasks: their runs, their backlogs, and how long their rows took."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Case, F, IntegerField, Value, When
from django.db.models.functions import Least
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone

from transfer.models import FlowHour, MaintenanceTask, Settings, TransferTask
from transfer.models.run_base import attach_recent, attach_runs
from transfer.models.schedules import ScheduledTask
from transfer.pages.back import is_part
from transfer.pages.shown.task_status import ORDER, TaskStatus
from transfer.runs import backlog as backlogs

# Seconds until the next refresh: the backlog is not known yet, a run is open, none is.
AT_ONCE, FAST, SLOW = 0.2, 2, 10
RECENT = 20  # runs of a task that its strip shows


def of(tasks: Iterable[Any]) -> list[TaskStatus]:
    """The status of tasks that come from `with_runs`, with their known backlogs."""
    listed = attach_runs(tasks)
    asked = backlogs.known(task for task in listed if isinstance(task, TransferTask))
    zone = Settings.load().zone
    return [
        TaskStatus(task, zone, asked.get(task.pk) if isinstance(task, TransferTask) else None)
        for task in listed
    ]


def sortable(tasks: Any) -> Any:
    """Transfer tasks with the columns that the database can order a `TaskTable` by."""
    kinds = (When(kind=kind, then=Value(number)) for kind, number in ORDER.items())
    return tasks.annotate(
        kind_order=Case(*kinds, output_field=IntegerField()),
        server_name=F("server__name"),
        upcoming=Case(When(enabled=True, then=Least("next_run_at", "retry_at"))),
    )


def patience(request: HttpRequest) -> float:
    """The seconds that the requested page may wait for the servers.

    A user who opens a fold waits no longer than for a whole page.
    """
    is_patient = (is_part(request) and "X-Unfolds" not in request.headers) or "ask" in request.GET
    return backlogs.PATIENTLY if is_patient else backlogs.AT_FIRST_SIGHT


def ask_backlogs(listed: Iterable[TaskStatus], seconds: float, changed: str | None = None) -> None:
    """Asks the servers for the backlogs, for `seconds` at most.

    The task that was just `changed` is asked again even if its backlog is known: the page says what
    its switch means now.
    """
    transfers = [one for one in listed if one.is_transfer]
    again = next((one.task.pk for one in transfers if one.key == changed), None)
    asked = backlogs.ask_databases((one.task for one in transfers), seconds, again=again)
    for one in transfers:
        one.asked = asked.get(one.task.pk)


def with_recent(listed: list[TaskStatus]) -> list[TaskStatus]:
    """Reads the last runs of tasks that are all transfers, or all maintenance."""
    attach_recent([one.task for one in listed], RECENT)
    return listed


def with_delays(listed: list[TaskStatus]) -> list[TaskStatus]:
    """Reads how long the rows of transfers took."""
    of_tasks = FlowHour.objects.filter(
        task__in=[one.task.pk for one in listed if one.is_transfer]
    ).delays(timezone.now())
    for one in listed:
        one.delays = of_tasks.get(one.task.pk, ()) if one.is_transfer else ()
    return listed


def transfer_tasks() -> Any:
    return TransferTask.objects.with_runs().select_related("server")


def find(key: str) -> ScheduledTask:
    """The task with this key. Raises Http404."""
    model, _dash, number = key.partition("-")
    tasks = transfer_tasks() if model == "transfer" else MaintenanceTask.objects.with_runs()
    task: ScheduledTask = get_object_or_404(tasks, pk=number)
    return task


def of_one(task: ScheduledTask, seconds: float = 0, changed: str | None = None) -> TaskStatus:
    """The status of a single task. With `seconds` its servers are asked: see `ask_backlogs`."""
    (only,) = of([task])
    if seconds:
        ask_backlogs([only], seconds, changed)
    return only
