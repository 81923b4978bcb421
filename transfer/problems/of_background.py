"""Problems of what runs by itself: the scheduler, the queue, the steps of background loops."""

from collections.abc import Iterator
from datetime import datetime

from django.urls import reverse

from transfer.engine.errors import GuardsOfAnother, GuardsOutdated
from transfer.models import FailedStep, Heartbeat, RecurringJob
from transfer.problems.codes import TOPICS, Code
from transfer.problems.problem import Problem, Unknown
from transfer.runs import workers


def look(now: datetime) -> Iterator[Problem | Unknown]:
    yield from of_guards()
    yield from of_scheduler(now)
    yield from of_queue()
    yield from of_steps()


def _url() -> str:
    """The part of the overview that says who looks at the schedule, and which workers there are."""
    return f"{reverse('overview')}#scheduler"


def of_guards() -> Iterator[Problem | Unknown]:
    """What a recurring job last heard of the guards of the staging tables in shop All."""
    job = RecurringJob.objects.filter(kind=RecurringJob.Kind.CHECK_GUARDS).first()
    if job is None:
        return
    if job.error_code in (GuardsOutdated.code, GuardsOfAnother.code):
        params = {"code": job.error_code, "error": job.error_params}
        yield Problem(Code.GUARDS, "guards", reverse("overview"), params)
    elif job.error_code:
        yield Unknown(TOPICS[Code.GUARDS], "guards")


def of_scheduler(now: datetime) -> Iterator[Problem]:
    beat = Heartbeat.last()
    if beat is None:
        yield Problem(Code.SCHEDULER_NEVER, "", _url(), notify=False)
    elif not beat.is_alive(now):
        code = Code.CLOCK if beat.at > now else Code.SCHEDULER
        params = {"since": beat.at.isoformat()}
        yield Problem(code, "", _url(), params, since=min(beat.at, now))


def of_queue() -> Iterator[Problem]:
    if since := workers.stuck_since():
        params = {"since": since.isoformat()}
        yield Problem(Code.QUEUE, Code.QUEUE, _url(), params, since=since)


def of_steps() -> Iterator[Problem]:
    """One problem for each step, however many of its items fail."""
    failing = FailedStep.objects.failing().order_by("failing_since")
    first: dict[str, FailedStep] = {}
    for row in failing:
        first.setdefault(row.step, row)
    for step, row in first.items():
        params = {"step": step, "item": row.item, "error": row.error}
        yield Problem(Code.STEP, f"step:{step}", _url(), params, since=row.failing_since)
