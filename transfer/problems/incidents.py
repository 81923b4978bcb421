"""When each problem began and ended, and how long rows waited. Kept as long as the history."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from django.db import transaction
from django.db.models.functions import Coalesce

from transfer.models import Incident, OutagePart, TransferRun
from transfer.models.run_base import BAD_STATES, GOOD_STATES
from transfer.problems import taking
from transfer.problems.kinds import Code
from transfer.problems.problem import Problem, Unknown

FIELDS = ("code", "url", "params", "severity", "notify", "server_id")
SAVED = ["began_at", *(name.removesuffix("_id") for name in FIELDS)]


def note_incidents(found: Iterable[Problem | Unknown], now: datetime) -> None:
    """Opens an incident for each new problem, and closes those whose problem is gone.

    An open one is saved only when it has changed. Forgets the parts of outages that are over. The
    caller holds Space.WATCH.
    """
    listed, known = list(found), list(Incident.objects.open())
    outages = [one for one in listed if isinstance(one, Problem) and one.code == Code.OUTAGE]
    if not (known or any(isinstance(one, Problem) for one in listed)):
        _forget_parts(outages, now)
        return
    with transaction.atomic():
        _save(listed, known, now)
        _forget_parts(outages, now)


def _save(listed: list[Problem | Unknown], known: list[Incident], now: datetime) -> None:
    """Opens and closes incidents; `known` are those that are open."""
    problems: dict[tuple[str, str], Problem | Unknown] = {
        one.name: one for one in listed if isinstance(one, Unknown)
    }
    problems |= {one.name: one for one in listed if isinstance(one, Problem)}
    ended, changed = [], []
    for incident in known:
        problem = problems.pop((incident.topic, incident.key), None)
        differs = isinstance(problem, Problem) and _update(incident, problem)
        if problem is None or (isinstance(problem, Problem) and problem.is_over):
            incident.ended_at = now
            if incident.code == Code.OUTAGE:
                incident.waited, incident.caught_up_at = _caught_up(incident, now)
            ended.append(incident)
        elif differs:
            changed.append(incident)
    if ended:
        Incident.objects.bulk_update(ended, [*SAVED, "ended_at", "waited", "caught_up_at"])
    if changed:
        Incident.objects.bulk_update(changed, SAVED)
    for incident in changed:
        if taking.is_worse(incident, now):
            taking.unmute_worse(incident, now)
    begun = []
    for one in problems.values():
        if isinstance(one, Problem) and not one.is_over:
            values = {name: getattr(one, name) for name in FIELDS}
            began_at = _began(one, now)
            begun.append(Incident(topic=one.topic, key=one.key, began_at=began_at, **values))
    Incident.objects.bulk_create(begun)


def _update(incident: Incident, problem: Problem) -> bool:
    """Gives the incident the problem's present values; returns whether any differs."""
    values = {name: getattr(problem, name) for name in FIELDS}
    values["began_at"] = min(incident.began_at, _began(problem, incident.began_at))
    differs = any(getattr(incident, name) != value for name, value in values.items())
    for name, value in values.items():
        setattr(incident, name, value)
    return differs


def _began(problem: Problem, now: datetime) -> datetime:
    """An outage began with its first failure; anything else when it was first seen."""
    return problem.since if problem.code == Code.OUTAGE and problem.since else now


def _forget_parts(outages: Iterable[Problem], now: datetime) -> None:
    """Removes parts that answer again, but not while runs that failed meanwhile are to be repeated.

    So an outage keeps its begin until it is over, and a later one has its own.
    """
    lasting = [one for one in outages if not one.is_over]
    catching_up = [one.server_id for one in lasting if one.params["failing"]]
    over = OutagePart.objects.over(now).annotate(number=Coalesce("server", 0))
    forgotten = over.exclude(number__in=[number or 0 for number in catching_up])
    if forgotten.exists():  # as a rule there are none
        forgotten.delete()


def _caught_up(incident: Incident, now: datetime) -> tuple[int | None, datetime | None]:
    """How many rows waited for runs that failed during the outage, and when all were moved.

    Counts, of each task, the rows that its first good run after a failed one found. Without a
    failed run neither is known.
    """
    runs = TransferRun.objects.filter(finished_at__range=(incident.began_at, now))
    if incident.server_id:
        runs = runs.filter(server=incident.server_id)
    failed, waited, at = set(), None, None
    ended = runs.order_by("finished_at").values_list("task", "state", "finished_at", "expected")
    for task, state, finished_at, expected in ended:
        if state in BAD_STATES:
            failed.add(task)
        elif state in GOOD_STATES and task in failed:
            failed.remove(task)
            waited, at = (waited or 0) + expected, finished_at
    return waited, at


def with_incidents(problems: Iterable[Problem]) -> list[Problem]:
    """The problems, each with its incident and the time since when it exists, if known."""
    listed = list(problems)
    if not listed:
        return []
    noted = {(one.topic, one.key): one for one in Incident.objects.open()}
    return [
        replace(one, incident=incident, since=one.since or incident.began_at)
        if (incident := noted.get(one.name))
        else one
        for one in listed
    ]
