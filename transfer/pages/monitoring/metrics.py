"""What Prometheus asks for: what waits, what runs, and how the pages answer."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, connection
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe
from django_tasks_db.models import DBTaskResult
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from transfer.models import Heartbeat, RegisterAccount, RejectedRow, TransferRun, TransferTask
from transfer.models.accounts import AccountState
from transfer.runs import backlog, workers

View = Callable[[HttpRequest], HttpResponse]

FLOW = ["server", "kind"]
DAY = timedelta(hours=24)
SECONDS = 3  # that shop All and the bonus servers have for their answers

answers = CollectorRegistry()
requests = Counter(
    "dtadmin_http_requests", "Answers, by page", ["page", "method", "status"], registry=answers
)
seconds = Histogram(
    "dtadmin_http_seconds", "Time until an answer, by page", ["page"], registry=answers
)


def counted(get_response: View) -> View:
    """Counts each answer, and how long it took, under the name of its address."""

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
    """Answers who has METRICS_TOKEN as a bearer token, or asks from this very machine."""
    if not (knows_token(request) or is_here(request)):
        raise PermissionDenied
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(Everything()), content_type=content_type)


def knows_token(request: HttpRequest) -> bool:
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return bool(settings.METRICS_TOKEN) and constant_time_compare(given, settings.METRICS_TOKEN)


def is_here(request: HttpRequest) -> bool:
    """Whether it comes from this machine, and not from a proxy on it."""
    if (
        settings.BEHIND_PROXY
        or "X-Forwarded-For" in request.headers
        or "Forwarded" in request.headers
    ):
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


class Everything(Collector):
    """What our own database knows, what shop All and the bonus servers say when asked, and us."""

    def collect(self) -> Iterator[Metric]:
        yield from counts().collect()
        try:
            measured = [*flows(), *schedule_and_queue(), *runs(), *rows_and_registers()]
        except DatabaseError:
            connection.close_if_unusable_or_obsolete()
            measured = []
        yield gauge("own_database_up", "1 while our own database answers", int(bool(measured)))
        yield from measured


def counts() -> Collector:
    """The answers of all processes of the web server, see gunicorn.conf.py; or of this one."""
    # Without a registry of its own, which would have each number twice.
    return MultiProcessCollector(None) if "PROMETHEUS_MULTIPROC_DIR" in os.environ else answers


def gauge(name: str, text: str, value: float) -> Metric:
    return by_labels(name, text, (), {(): value})


def by_labels(
    name: str, text: str, labels: Sequence[str], values: Mapping[tuple[str, ...], float]
) -> Metric:
    family = GaugeMetricFamily(f"dtadmin_{name}", text, labels=labels)
    for keys, value in values.items():
        family.add_metric(keys, value)
    return family


def flows() -> Iterator[Metric]:
    """What each flow has still to move. One whose databases don't answer has no rows here."""
    tasks = list(TransferTask.objects.select_related("server"))
    asked = backlog.ask(tasks, seconds=SECONDS)
    flow = {task.pk: (task.server.name, task.kind) for task in tasks}
    heard = {flow[pk]: one for pk, one in asked.items() if one.rows is not None}
    yield by_labels(
        "waiting_rows", "Rows to move", FLOW, {k: b.rows or 0 for k, b in heard.items()}
    )
    yield by_labels(
        "lag_seconds",
        "Age of the oldest row to move; 0 where none waits",
        FLOW,
        {k: age(b.oldest) for k, b in heard.items()},
    )
    yield by_labels(
        "flow_up",
        "1 where shop All and the bonus server said what waits",
        FLOW,
        {name: int(name in heard) for name in flow.values()},
    )
    yield by_labels(
        "task_enabled", "1 while it is on", FLOW, {flow[t.pk]: int(t.enabled) for t in tasks}
    )
    yield by_labels(
        "task_failures", "Runs that failed in a row", FLOW, {flow[t.pk]: t.failures for t in tasks}
    )


def schedule_and_queue() -> Iterator[Metric]:
    if beat := Heartbeat.last():
        yield gauge("tick_age_seconds", "Since the schedule was looked at", abs(age(beat.at)))
    ready = DBTaskResult.objects.ready().aggregate(entries=Count("pk"), oldest=Min("enqueued_at"))
    yield gauge("queue_entries", "Jobs that wait for a worker", ready["entries"])
    yield gauge("queue_oldest_seconds", "Age of the oldest of them", age(ready["oldest"]))
    yield gauge("workers", "Resident workers", workers.seen().resident)


def runs() -> Iterator[Metric]:
    of_day = TransferRun.objects.filter(queued_at__gte=timezone.now() - DAY).order_by()
    counted = of_day.values_list("server_name", "kind", "state").annotate(Count("pk"))
    yield by_labels(
        "runs_last_day",
        "Runs that were queued in the last 24 hours",
        [*FLOW, "state"],
        {tuple(keys): count for *keys, count in counted},
    )


def rows_and_registers() -> Iterator[Metric]:
    open_rejects = RejectedRow.objects.open().count()
    yield gauge("rejects_open", "Rejected rows without a decision", open_rejects)
    states = RegisterAccount.objects.count_states()
    yield by_labels(
        "registers",
        "Accounts of registers on bonus servers",
        ["state"],
        {(state,): states.get(state, 0) for state in AccountState.values},
    )


def age(moment: datetime | None) -> float:
    return (timezone.now() - moment).total_seconds() if moment else 0
