"""Metrics for Prometheus: waiting rows, runs, and the answers of the pages."""

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db import Error, connection
from django.db.models import Count, Min, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from django_tasks_db.models import DBTaskResult
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from transfer.installed import version
from transfer.models import (
    FailedStep,
    FlowHour,
    Heartbeat,
    RegisterAccount,
    RejectedRow,
    TransferRun,
    TransferTask,
)
from transfer.models.accounts import AccountState
from transfer.models.flow_hours import OUTCOMES, most_within
from transfer.problems.find import all_tasks, problems
from transfer.queue.residents import count_workers
from transfer.runs import backlog
from transfer.runs.backlog import Backlog

View = Callable[[HttpRequest], HttpResponse]

FLOW = ["server", "kind"]
DAY = timedelta(hours=24)
SECONDS = 3  # the time that shop All and the bonus servers have to answer

answers = CollectorRegistry()
requests = Counter(
    "dtadmin_http_requests", "Answers, by page", ["page", "method", "status"], registry=answers
)
seconds = Histogram(
    "dtadmin_http_seconds", "Time until an answer, by page", ["page"], registry=answers
)


def counted(get_response: View) -> View:
    """Counts each answer and its time by the name of its URL."""

    def middleware(request: HttpRequest) -> HttpResponse:
        begun = time.perf_counter()
        response = get_response(request)
        match = request.resolver_match
        page = (match and match.view_name) or "none"
        method = request.method if request.method in ("GET", "HEAD", "POST") else "other"
        requests.labels(page, method, response.status_code).inc()
        seconds.labels(page).observe(time.perf_counter() - begun)
        return response

    return middleware


@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answers requests with METRICS_TOKEN as a bearer token, and those of this machine."""
    token, given = settings.METRICS_TOKEN, request.headers.get("Authorization", "")
    knows_token = token and constant_time_compare(given.removeprefix("Bearer "), token)
    if not (knows_token or is_here(request)):
        raise PermissionDenied
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(Everything()), content_type=content_type)


def is_here(request: HttpRequest) -> bool:
    """Whether the request comes from this machine, and not through a proxy on it."""
    forwarded = any(name in request.headers for name in ("X-Forwarded-For", "Forwarded"))
    if settings.BEHIND_PROXY or forwarded:
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


class Everything(Collector):
    """Collects from our own database, shop All, the bonus servers and this process."""

    def collect(self) -> Iterator[Metric]:
        yield from counts().collect()
        build = {"version": version(), "python": platform.python_version()}
        yield InfoMetricFamily("dtadmin_build", "What answers", value=build)
        try:
            tasks = all_tasks()
            heard = backlog.ask_databases(
                (one for one in tasks if isinstance(one, TransferTask)), seconds=SECONDS
            )
            measured = [*flows(tasks, heard), *schedule_and_queue(), *runs()]
            measured += [*rows_and_registers(), *wrong(tasks, heard)]
        except Error:
            connection.close_if_unusable_or_obsolete()
            measured = []
        yield gauge("own_database_up", "1 while our own database answers", int(bool(measured)))
        yield from measured


def counts() -> Collector:
    """The metrics of all processes of the web server, see gunicorn.conf.py; or of this one."""
    # In no registry: it would have each number twice.
    return MultiProcessCollector(None) if "PROMETHEUS_MULTIPROC_DIR" in os.environ else answers


def gauge(name: str, text: str, value: float) -> Metric:
    return gauges(name, text, {(): value}, ())


def gauges(
    name: str, text: str, values: Mapping[tuple[str, ...], float], labels: Sequence[str] = FLOW
) -> Metric:
    family = GaugeMetricFamily(f"dtadmin_{name}", text, labels=labels)
    for keys, value in values.items():
        family.add_metric(keys, value)
    return family


def flows(listed: list[Any], asked: Mapping[int, Backlog]) -> Iterator[Metric]:
    """The waiting rows of each task. A task whose databases do not answer is left out."""
    tasks = [task for task in listed if isinstance(task, TransferTask)]
    flow: dict[int, tuple[str, ...]] = {task.pk: (task.server.name, task.kind) for task in tasks}
    heard = {flow[pk]: one for pk, one in asked.items() if one.rows is not None}
    oldest = {name: timestamp(one.oldest) for name, one in heard.items() if one.oldest}
    up = {name: int(name in heard) for name in flow.values()}
    on = {flow[task.pk]: int(task.enabled) for task in tasks}
    failures = {flow[task.pk]: task.failures for task in tasks}
    of_day = FlowHour.objects.delays(timezone.now())
    within = {flow[pk]: most_within(of_day[pk]) or 0 for pk in flow if sum(of_day.get(pk, ()))}
    yield gauges("waiting_rows", "Rows to move", {k: b.rows or 0 for k, b in heard.items()})
    text = "When the oldest row to move was staged; nothing where none waits"
    yield gauges("oldest_waiting_row_timestamp_seconds", text, oldest)
    text = (
        "Seconds within which 95 % of the rows of the last 24 hours arrived, from the start of the "
        "transaction that staged them to the end of the chunk"
    )
    yield gauges("arrival_p95_seconds", text, within)
    yield gauges("flow_up", "1 where shop All and the bonus server said what waits", up)
    yield gauges("task_enabled", "1 while it is on", on)
    yield gauges("task_failures", "Runs that failed in a row", failures)
    yield moved(flow)


def moved(flow: Mapping[int, tuple[str, ...]]) -> Metric:
    """The rows that each task has moved, by outcome. They never become fewer."""
    text = "Rows that a bonus server has got, had already, or that were rejected"
    rows = CounterMetricFamily("dtadmin_rows", text, labels=[*FLOW, "outcome"])
    totals = FlowHour.objects.totals()
    nothing = dict.fromkeys(OUTCOMES, 0)
    for pk, names in flow.items():
        for outcome, count in totals.get(pk, nothing).items():
            rows.add_metric([*names, outcome], count)
    return rows


def schedule_and_queue() -> Iterator[Metric]:
    if beat := Heartbeat.last():
        text = "When the schedule was last looked at"
        yield gauge("last_tick_timestamp_seconds", text, timestamp(beat.at))
    ready = DBTaskResult.objects.ready().aggregate(entries=Count("pk"), oldest=Min("enqueued_at"))
    yield gauge("queue_entries", "Jobs that wait for a worker", ready["entries"])
    if ready["oldest"]:
        text = "When the oldest of them was queued; nothing if there is none"
        yield gauge("queue_oldest_entry_timestamp_seconds", text, timestamp(ready["oldest"]))
    yield gauge("workers", "Resident workers", count_workers().resident)
    text = "Exceptions in the steps of background loops"
    failures = CounterMetricFamily("dtadmin_step_failures", text, labels=["step"])
    totals = FailedStep.objects.order_by().values_list("step").annotate(Sum("total"))
    for step, total in totals:
        failures.add_metric([step], total)
    yield failures


def runs() -> Iterator[Metric]:
    of_day = TransferRun.objects.filter(queued_at__gte=timezone.now() - DAY).order_by()
    counted = of_day.values_list("server_name", "kind", "state").annotate(Count("pk"))
    by_state = {tuple(keys): count for *keys, count in counted}
    text = "Runs that were queued in the last 24 hours"
    yield gauges("runs_last_day", text, by_state, [*FLOW, "state"])


def rows_and_registers() -> Iterator[Metric]:
    open_rejects = RejectedRow.objects.open().count()
    yield gauge("rejects_open", "Rejected rows without a decision", open_rejects)
    states = RegisterAccount.objects.count_states()
    text, known = "Accounts of registers on bonus servers", AccountState.values
    yield gauges("registers", text, {(one,): states.get(one, 0) for one in known}, ["state"])


def wrong(tasks: list[Any], heard: Mapping[int, Backlog]) -> Iterator[Metric]:
    """The problems of the overview, each with its subject."""
    listed: dict[tuple[str, ...], float] = {
        (str(one.code), str(one.severity), one.key): 1.0
        for one in problems(tasks=tasks, heard=heard)
    }
    labels = ["problem", "severity", "subject"]
    yield gauges("problem", "1 for each thing that is wrong", listed, labels)


def timestamp(moment: datetime) -> float:
    """Seconds since 1970, as Prometheus wants times: `time() - …` is an age, at any scrape."""
    return moment.timestamp()
