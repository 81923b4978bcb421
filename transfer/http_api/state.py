"""What the overview and the lists show: tasks, servers, registers, problems, runs."""

from decimal import Decimal
from typing import Annotated, Any

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Router, Schema
from pydantic import AwareDatetime, Field

from transfer.http_api.shapes import (
    After,
    All,
    LastRun,
    Limit,
    Named,
    Problem,
    Refused,
    one_of,
    page,
    problem_of,
)
from transfer.models import BonusServer, CashRegister, Incident, TransferRun, TransferTask
from transfer.models.accounts import attach_states
from transfer.models.audit import is_of_link, without_link
from transfer.models.outage_parts import Part
from transfer.models.run_base import State, attach_runs
from transfer.models.tasks import KindChoices
from transfer.problems.find import problems
from transfer.problems.incidents import with_incidents
from transfer.problems.kinds import FOR_ADMINISTRATORS
from transfer.problems.problem import Problem as WrongNow
from transfer.runs import backlog
from transfer.runs.backlog import Backlog

router = Router(tags=["State"])


class Waiting(Schema):
    """The rows that had not been moved when the servers were last asked."""

    rows: int | None = Field(description="Null while the server does not answer.")
    at_least: int | None = Field(
        description="Then: the rows that shop All has after the last line that the server passed."
    )
    oldest: AwareDatetime | None
    asked_at: AwareDatetime
    error: Problem | None

    @staticmethod
    def resolve_error(known: Backlog) -> Any:
        return problem_of(known.error)


class Task(Schema):
    """A transfer of one kind to one bonus server."""

    id: int
    kind: KindChoices
    server: Named
    enabled: bool
    schedule: str = Field(
        alias="timing",
        description="One to 24 cron expressions of five fields, separated by “;”, in the time zone "
        "of the settings: the next run is the earliest of their times. “@rows”: as rows arrive.",
    )
    next_run_at: AwareDatetime | None
    paused_until: AwareDatetime | None
    failures: int = Field(description="In a row.")
    version: int = Field(description="Counts the changes of switch, pause and schedule.")
    waiting: Waiting | None = Field(description="Null if not asked in the last minutes.")
    open_run: int | None = Field(description="The run that is queued or under way.")
    last_run: LastRun | None

    @staticmethod
    def resolve_paused_until(task: Any) -> Any:
        return task.paused_until if task.is_paused() else None

    @staticmethod
    def resolve_open_run(task: Any) -> Any:
        return task.open_run and task.open_run.pk


class Tasks(Schema):
    items: list[Task]
    next: int | None


def with_waiting(tasks: list[Any]) -> list[Any]:
    """Give tasks that come from `with_runs` their runs, and what waits for them."""
    heard = backlog.stored()
    listed = attach_runs(tasks)
    for task in listed:
        task.waiting = heard.get(task.pk)
    return listed


@router.get("tasks", response=Tasks, summary="Transfer tasks, and what waits for each")
def list_tasks(request: HttpRequest, after: After, limit: Limit) -> Any:
    found = page(TransferTask.objects.with_runs().select_related("server"), after, limit)
    with_waiting(found["items"])
    return found


@router.get("tasks/{int:id}", response={200: Task, 404: Refused}, summary="One task")
def get_task(request: HttpRequest, id: int) -> Any:
    return one_task(id)


def one_task(number: int) -> Any:
    """Raises Http404."""
    found = get_object_or_404(TransferTask.objects.with_runs().select_related("server"), pk=number)
    (task,) = with_waiting([found])
    return task


class Server(Schema):
    """A bonus server, as its administration port answered last."""

    id: int
    name: str
    state: Annotated[BonusServer.State, one_of(BonusServer.State)]
    version: str
    checked_at: AwareDatetime | None
    latency: float | None = Field(description="Seconds until the last answer.")
    failing_since: AwareDatetime | None = Field(
        description="Since when it has failed; parts of a server that fail together have one begin."
    )
    error: Problem | None

    @staticmethod
    def resolve_failing_since(server: BonusServer) -> Any:
        if server.state != BonusServer.State.FAILING:
            return None
        parts = server.outage_parts.all()
        return next((one.since for one in parts if one.part == Part.ADMIN), None)

    @staticmethod
    def resolve_error(server: BonusServer) -> Any:
        return problem_of(server.error)


class Servers(Schema):
    items: list[Server]
    next: int | None


@router.get("servers", response=Servers, summary="Bonus servers")
def list_servers(request: HttpRequest, after: After, limit: Limit) -> Any:
    return page(BonusServer.objects.prefetch_related("outage_parts"), after, limit)


class OnServer(Schema):
    """The account of a register on a bonus server."""

    server: int
    state: str
    last_seen: AwareDatetime | None


class Register(Schema):
    """A cash register; it has no account on a server that is not listed."""

    id: int
    code: str
    name: str
    shop: str = Field(alias="shop.code", description="The shop's code.")
    mothballed: bool
    servers: list[OnServer]

    @staticmethod
    def resolve_servers(register: Any) -> Any:
        return [
            {"server": pk, "state": state, "last_seen": seen}
            for pk, (state, seen) in sorted(register.states.items())
        ]


class Registers(Schema):
    items: list[Register]
    next: int | None


@router.get("registers", response=Registers, summary="Cash registers, and who sees them")
def list_registers(request: HttpRequest, after: After, limit: Limit) -> Any:
    found = page(CashRegister.objects.select_related("shop"), after, limit)
    attach_states(found["items"], BonusServer.objects.all())
    return found


class Taken(Schema):
    """Who looks after a problem."""

    by: str = Field(description="A user, a key, or the recipient of the message with the link.")
    by_link: bool = Field(description="By the link of a message: nobody has logged in.")
    since: AwareDatetime
    note: str


class Muted(Schema):
    """Nobody gets messages about a problem."""

    by: str
    since: AwareDatetime
    until: AwareDatetime | None = Field(description="Null: until it gets worse.")
    reason: str


class FoundProblem(Problem):
    """Something that is wrong now."""

    id: int | None = Field(
        description="Its number, by which it is taken; null in the first minute of a problem."
    )
    severity: str
    since: AwareDatetime | None
    server: int | None
    url: str = Field(description="The page about it.")
    taken: Taken | None = Field(description="Null: nobody looks after it.")
    muted: Muted | None


@router.get("problems", response=list[FoundProblem], summary="What is wrong, the worst first")
def list_problems(request: HttpRequest, limit: All) -> Any:
    # A key is no administrator, and does not get what only those see.
    found = [one for one in problems() if one.code not in FOR_ADMINISTRATORS]
    return [shown(one) for one in with_incidents(found)[:limit]]


def shown(problem: WrongNow) -> dict[str, Any]:
    """A problem as a FoundProblem."""
    incident = problem.incident
    return {
        "id": incident.pk if incident else None,
        "code": problem.code,
        "message": problem.sentence,
        "hint": problem.hint,
        "severity": problem.severity,
        "since": problem.since,
        "server": problem.server_id,
        "url": problem.url,
        "taken": taken(incident) if incident else None,
        "muted": muted(incident) if incident else None,
    }


def taken(incident: Incident) -> dict[str, Any] | None:
    """Who looks after a problem as a Taken; None if nobody does."""
    if not incident.is_taken:
        return None
    return {
        "by": without_link(incident.taken_by),
        "by_link": is_of_link(incident.taken_by),
        "since": incident.taken_at,
        "note": incident.taken_note,
    }


def muted(incident: Incident) -> dict[str, Any] | None:
    """Who has muted a problem as a Muted; None if nobody has."""
    if not incident.is_muted:
        return None
    return {
        "by": incident.muted_by,
        "since": incident.muted_at,
        "until": incident.muted_until,
        "reason": incident.mute_reason,
    }


class Run(Schema):
    """One execution of a transfer task."""

    id: int
    task: int | None = Field(alias="task_id")
    kind: KindChoices
    server: str = Field(alias="server_name")
    state: Annotated[State, one_of(State)]
    started_by: str = Field(alias="trigger")
    queued_at: AwareDatetime
    started_at: AwareDatetime | None
    finished_at: AwareDatetime | None
    read: int
    applied: int
    unchanged: int
    rejected: int
    waiting: int | None = Field(description="Rows left when it ended.")
    amount_applied: Decimal
    amount_rejected: Decimal
    error: Problem | None

    @staticmethod
    def resolve_error(run: TransferRun) -> Any:
        return problem_of(run.error)


class Runs(Schema):
    items: list[Run]
    next: int | None


@router.get("runs", response=Runs, summary="Runs of transfers, the latest first")
def list_runs(
    request: HttpRequest,
    after: After,
    limit: Limit,
    task: int | None = None,
    kind: KindChoices | None = None,
    state: Annotated[State, one_of(State)] | None = None,
) -> Any:
    wanted = {"task": task, "kind": kind, "state": state}
    filters = {name: value for name, value in wanted.items() if value is not None}
    return page(TransferRun.objects.filter(**filters), after, limit, latest_first=True)


@router.get("runs/{int:id}", response={200: Run, 404: Refused}, summary="One run")
def get_run(request: HttpRequest, id: int) -> Any:
    return get_object_or_404(TransferRun, pk=id)
