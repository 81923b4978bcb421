"""Lists what is wrong. Asks our own database alone; the caller may pass what it has just heard."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from transfer.models import BonusServer, Incident, MaintenanceTask, OutagePart, TransferTask
from transfer.models.alerts import Severity
from transfer.models.run_base import attach_runs
from transfer.problems import of_background, of_others, of_tasks, outages
from transfer.problems.kinds import KINDS, Code
from transfer.problems.problem import Problem, Unknown
from transfer.problems.signs import Sign, signs
from transfer.runs import backlog
from transfer.runs.backlog import Backlog

ORDER = {code: number for number, code in enumerate(KINDS)}


def problems(
    now: datetime | None = None,
    *,
    tasks: Iterable[Any] | None = None,
    heard: Mapping[int, Backlog] | None = None,
) -> list[Problem]:
    """The problems, the worst first."""
    found = find_problems(now, tasks=tasks, heard=heard)
    return sorted((one for one in found if isinstance(one, Problem)), key=_rank)


def find_problems(
    now: datetime | None = None,
    *,
    tasks: Iterable[Any] | None = None,
    heard: Mapping[int, Backlog] | None = None,
) -> Iterator[Problem | Unknown]:
    """The problems, and what could not be found out.

    `tasks`: all tasks, from `attach_runs`. `heard`: backlogs of transfer tasks by their numbers.
    Those that were stored in the last minutes count too, if they are newer.
    """
    now = now or timezone.now()
    listed = list(all_tasks() if tasks is None else tasks)
    newest = backlog.stored()
    for pk, one in (heard or {}).items():
        if pk not in newest or newest[pk].asked_at <= one.asked_at:
            newest[pk] = one
    seen = signs(now)
    found = chain(
        of_background.problems_of_background(now, seen),
        of_tasks.problems_of_tasks(listed, newest, now),
        of_others.problems_of_others(now, seen),
    )
    return outages.fold(found, listed, newest, now, has_records=Sign.OUTAGE in seen)


def outages_by_server() -> dict[int, Problem]:
    """What is wrong with each server that has a problem, by what was stored in the last minutes."""
    return {one.server_id: one for one in outages_now() if one.server_id}


def outages_now() -> list[Problem]:
    """The outages, the worst first, by what was stored in the last minutes.

    Each failure that causes an outage is noted as a part. So without parts, and without an open
    incident, there is none.
    """
    begun = Incident.objects.open().filter(code=Code.OUTAGE)
    if not (OutagePart.objects.exists() or begun.exists()):
        return []
    return sorted(_outages(TransferTask.objects.all(), of_others.of_servers()), key=_rank)


def outage_of(server: BonusServer) -> Problem | None:
    """What is wrong with the server, by what was stored in the last minutes."""
    key = outages.of_server(server.pk)
    found = _outages(server.tasks.all(), of_others.of_servers(server), only=key)
    return next(iter(found), None)


def _outages(
    tasks: QuerySet[TransferTask], of_servers: Iterable[Problem], only: str = ""
) -> list[Problem]:
    now = timezone.now()
    listed = attach_runs(tasks.with_runs().select_related("server"))  # type: ignore[attr-defined]
    heard = backlog.stored()
    found = chain(of_tasks.problems_of_tasks(listed, heard, now), of_servers)
    folded = outages.fold(found, listed, heard, now, only)
    return [one for one in folded if isinstance(one, Problem) and one.code == Code.OUTAGE]


def all_tasks() -> list[Any]:
    transfers = TransferTask.objects.with_runs().select_related("server")
    return [*attach_runs(transfers), *attach_runs(MaintenanceTask.objects.with_runs())]


def _rank(problem: Problem) -> tuple[bool, int]:
    return problem.severity == Severity.WARN, ORDER[problem.code]
