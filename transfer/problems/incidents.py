"""When each problem began and ended. Kept as long as the history."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from django.db import transaction

from transfer.models import Incident
from transfer.problems.problem import Problem, Unknown

FIELDS = ("code", "url", "params", "severity", "notify", "server_id")


@transaction.atomic
def note(found: Iterable[Problem | Unknown], now: datetime) -> None:
    """Opens an incident for each new problem, and closes those whose problem is gone.

    An open one is saved only when it has changed. The caller holds Space.WATCH.
    """
    listed = list(found)
    problems: dict[tuple[str, str], Problem | Unknown] = {
        one.name: one for one in listed if isinstance(one, Unknown)
    }
    problems |= {one.name: one for one in listed if isinstance(one, Problem)}
    ended, changed = [], []
    for incident in Incident.objects.open():
        problem = problems.pop((incident.topic, incident.key), None)
        if problem is None:
            ended.append(incident.pk)
        elif isinstance(problem, Problem) and _update(incident, problem):
            changed.append(incident)
    Incident.objects.filter(pk__in=ended).update(ended_at=now)
    if changed:
        names = [name.removesuffix("_id") for name in FIELDS]
        Incident.objects.bulk_update(changed, names)
    Incident.objects.bulk_create(
        _begun(one, now) for one in problems.values() if isinstance(one, Problem)
    )


def _update(incident: Incident, problem: Problem) -> bool:
    """Gives the incident the problem's present values; returns whether any differs."""
    differs = any(getattr(incident, name) != getattr(problem, name) for name in FIELDS)
    for name in FIELDS:
        setattr(incident, name, getattr(problem, name))
    return differs


def _begun(problem: Problem, now: datetime) -> Incident:
    values = {name: getattr(problem, name) for name in FIELDS}
    return Incident(topic=problem.topic, key=problem.key, began_at=now, **values)


def with_since(problems: Iterable[Problem]) -> list[Problem]:
    """The problems, each with the time since when it exists, as far as that is known."""
    began = {(one.topic, one.key): one.began_at for one in Incident.objects.open()}
    return [one if one.since else replace(one, since=began.get(one.name)) for one in problems]
