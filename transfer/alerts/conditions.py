"""What is wrong at this moment, as far as somebody wants to be told."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Max, Min, Q
from django.urls import reverse

from transfer.engine.errors import REFUSALS
from transfer.engine.kinds import MASK
from transfer.errors import Difference, QueueStuck
from transfer.models import (
    AuditEntry,
    Heartbeat,
    MaintenanceTask,
    RegisterAccount,
    RejectedRow,
    Settings,
    TransferTask,
)
from transfer.models.alerts import Topic
from transfer.models.logins import PERIOD
from transfer.models.run_base import attach_runs
from transfer.runs import backlog, workers

# The shops close at night, and their registers are switched off.
DARK = timedelta(hours=24)
NAMED = 10


@dataclass(frozen=True)
class Condition:
    """Something that is wrong: an incident, if it is none yet."""

    topic: Topic
    key: str = ""
    url: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    server_id: int | None = None


class Unknown(Condition):
    """Nobody could find out whether it is wrong."""


def conditions(topics: Iterable[str], now: datetime) -> list[Condition]:
    """Lists what is wrong of these topics. Asks our own database alone."""
    return [one for topic in topics for one in OF_TOPIC[Topic(topic)](now)]


def refusals(now: datetime) -> Iterator[Condition]:
    return _failed(Topic.REFUSAL, 1)


def differences(now: datetime) -> Iterator[Condition]:
    reconcile = MaintenanceTask.objects.filter(kind=MaintenanceTask.Kind.RECONCILE)
    (task,) = attach_runs(reconcile.with_runs())
    if task.last_run and task.last_run.error_code == Difference.code:
        params = {"code": Difference.code, "error": task.last_run.error_params}
        yield Condition(Topic.DIFFERENCE, "", task.last_run.get_absolute_url(), params)


def scheduler(now: datetime) -> Iterator[Condition]:
    beat = Heartbeat.last()
    if beat is not None and not beat.is_alive(now):
        yield Condition(
            Topic.SCHEDULER, "", reverse("overview"), {"since": min(beat.at, now).isoformat()}
        )
    if since := workers.stuck_since():
        params = {"since": since.isoformat()}
        yield Condition(Topic.SCHEDULER, QueueStuck.code, reverse("overview"), params)


def failures(now: datetime) -> Iterator[Condition]:
    return _failed(Topic.FAILURES, Settings.load().alert_failures)


def late(now: datetime) -> Iterator[Condition]:
    """Rows that wait although their task should run."""
    limit = timedelta(minutes=Settings.load().alert_minutes)
    tasks = [task for task in _tasks() if task.enabled and not task.is_paused(now)]
    heard = backlog.stored()
    for task in tasks:
        asked = heard.get(task.pk)
        if asked is None or asked.error is not None:
            yield Unknown(Topic.LATE, f"task:{task.pk}")
        elif asked.oldest and now - asked.oldest > limit:
            params = {"n": asked.rows, "since": asked.oldest.isoformat()}
            url = f"{reverse('scheduler')}?server={task.server_id}"
            yield _of_task(Topic.LATE, task, url, params)


def rejects(now: datetime) -> Iterator[Condition]:
    """Counts each row once, as the list does, however many servers have rejected it."""
    open_ones = (
        RejectedRow.objects.open()
        .order_by()
        .aggregate(n=Count("pk", filter=Q(follows=False)), last=Max("pk"), since=Min("created_at"))
    )
    if open_ones["n"]:
        params = {**open_ones, "since": open_ones["since"].isoformat()}
        yield Condition(Topic.REJECTS, "", reverse("rejects"), params)


def registers(now: datetime) -> Iterator[Condition]:
    """Registers that were seen once and have not been for a day, by their shop."""
    dark = (
        RegisterAccount.objects.created()
        .filter(
            blocked=False,
            register__mothballed=False,
            last_seen__lt=F("server__accounts_at") - DARK,
        )
        .order_by("register__name")
        .select_related("register__shop")
    )
    shops: dict[Any, dict[str, None]] = {}
    for account in dark:
        shops.setdefault(account.register.shop, {})[str(account.register)] = None
    for shop, names in shops.items():
        params = {"shop": str(shop), "n": len(names), "names": ", ".join([*names][:NAMED])}
        url = f"{reverse('registers')}?state=offline&shop={shop.pk}"
        yield Condition(Topic.REGISTERS, f"shop:{shop.pk}", url, params)


def locked(now: datetime) -> Iterator[Condition]:
    """Log-ins that wrong passwords have locked lately, and nobody has unlocked.

    All names that no user has are one condition: guessing can lock any number of them.
    """
    lifted = AuditEntry.objects.filter(action=AuditEntry.Action.UNLOCK).order_by("-at")[:1]
    since = max([now - PERIOD, *lifted.values_list("at", flat=True)])
    locks = AuditEntry.objects.filter(action=AuditEntry.Action.LOCK, at__gt=since).order_by("pk")
    last = {f"user:{one.user_id}" if one.user_id else MASK: one for one in locks}
    for key, entry in last.items():
        who = entry.who if entry.user_id else MASK
        params = {"who": who, "address": entry.address or ""}
        yield Condition(Topic.LOCKED, key, reverse("users"), params)


OF_TOPIC: dict[Topic, Callable[[datetime], Iterator[Condition]]] = {
    Topic.REFUSAL: refusals,
    Topic.DIFFERENCE: differences,
    Topic.SCHEDULER: scheduler,
    Topic.FAILURES: failures,
    Topic.LATE: late,
    Topic.REJECTS: rejects,
    Topic.REGISTERS: registers,
    Topic.LOCKED: locked,
}


def _tasks() -> list[TransferTask]:
    return attach_runs(TransferTask.objects.with_runs().select_related("server"))


def _failed(topic: Topic, times: int) -> Iterator[Condition]:
    """Tasks that have failed that often, at last by a refusal or by anything else."""
    for task in _tasks():
        run = task.last_run  # type: ignore[attr-defined]
        if not (task.enabled and run and task.failures >= times):
            continue
        if (run.error_code in REFUSALS) == (topic == Topic.REFUSAL):
            params = {"n": task.failures, "code": run.error_code, "error": run.error_params}
            yield _of_task(topic, task, run.get_absolute_url(), params)


def _of_task(topic: Topic, task: TransferTask, url: str, params: dict[str, Any]) -> Condition:
    params = {"task": str(task), **params}
    return Condition(topic, f"task:{task.pk}", url, params, task.server_id)
