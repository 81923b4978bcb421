"""Tasks and runs on the command line: how they are named there, and how they are shown."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.utils.translation import gettext as _

from transfer.management.command import UsageError, servers_named, with_zone
from transfer.models import MaintenanceRun, MaintenanceTask, TransferRun, TransferTask
from transfer.models.schedules import ScheduledTask

MAINTENANCE = [str(kind) for kind in MaintenanceTask.Kind]
RUNS: dict[str, Any] = {"": TransferRun, "transfer": TransferRun, "maintenance": MaintenanceRun}


def tasks_named(task: str, server: str | None) -> list[ScheduledTask]:
    """The tasks of this kind, or all transfers. Raises UsageError if there is none."""
    if task in MAINTENANCE:
        if server is not None:
            raise UsageError(_("A maintenance task belongs to no server."))
        return [MaintenanceTask.objects.get(kind=task)]
    tasks = TransferTask.objects.filter(server__in=servers_named(server))
    tasks = tasks.select_related("server")
    return list(tasks if task == "all" else tasks.filter(kind=task))


def all_tasks() -> Iterator[ScheduledTask]:
    yield from TransferTask.objects.select_related("server")
    yield from MaintenanceTask.objects.all()


def run_named(name: str) -> Any:
    """The run with this number or key: see `Run.key`. Raises UsageError."""
    kind, _dash, number = name.rpartition("-")
    runs = RUNS.get(kind)
    run = runs.objects.filter(pk=number).first() if runs and number.isdecimal() else None
    if run is None:
        raise UsageError(_("There is no run %(run)s."), run=name)
    return run


def state_of(task: ScheduledTask) -> str:
    """Whether the task is on, off or paused, and when it runs next."""
    if task.next_run_at is None:
        return _("off")
    if task.paused_until is not None and task.is_paused():
        return _("paused until %(until)s") % {"until": with_zone(task.paused_until)}
    if task.as_rows_arrive:
        return _("on, runs as rows arrive")
    return _("on, next run %(at)s") % {"at": with_zone(task.next_run_at)}


def names_of(task: Any) -> dict[str, str | None]:
    """The kind of the task, and its server, which a maintenance task does not have."""
    return {"kind": task.kind, "server": None, **task.audit_params()}


def in_utc(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None


def as_json(task: ScheduledTask) -> dict[str, object]:
    """The task as an object of `--json`."""
    return {
        **names_of(task),
        "on": task.enabled,
        "schedule": task.timing,
        "paused_until": in_utc(task.paused_until) if task.is_paused() else None,
        "next_run_at": in_utc(task.next_run_at),
    }
