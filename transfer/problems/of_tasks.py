"""Problems of tasks: runs that fail, rows that wait, databases that do not answer."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from transfer.causes.catalogue import REFUSALS
from transfer.causes.ledger import ROWS_DIFFER, SHOP_ALL_WENT_BACK
from transfer.causes.runs import DIFFERENCE
from transfer.models import FlowHour, Settings, TransferTask
from transfer.models.addresses import address
from transfer.models.alerts import Severity, Topic
from transfer.models.flow_hours import later_than, most_within
from transfer.models.run_base import State
from transfer.parties import SHOP_ALL
from transfer.problems import outages
from transfer.problems.kinds import Code
from transfer.problems.problem import Problem, Unknown, of_error
from transfer.runs.backlog import Backlog
from transfer.runs.beginning import CODES as OF_SERVERS

# Code of a refusal → the name of the page where it is answered for all bonus servers.
ASKED_ONCE = {SHOP_ALL_WENT_BACK.code: "restored", ROWS_DIFFER.code: "rows_missing"}
# A transaction that is open for so long hides its rows.
OPEN_LONG = timedelta(minutes=10)


def problems_of_tasks(
    tasks: list[Any], heard: Mapping[int, Backlog], now: datetime
) -> Iterator[Problem | Unknown]:
    """`tasks` come from `attach_runs`; `heard` are backlogs by the numbers of transfer tasks."""
    settings = Settings.load()
    transfers = [task for task in tasks if isinstance(task, TransferTask)]
    failed = [one for task in tasks for one in of_failures(task, settings.alert_failures)]
    yield from asked_once(failed)
    yield from of_databases(transfers, heard)
    yield from unknown(transfers, heard)
    if settings.delay_limit:
        yield from of_delays(transfers, settings.delay_limit, now)
    for task in transfers:
        if (asked := heard.get(task.pk)) and asked.error is None:
            yield from of_backlog(task, asked, settings, now)


def of_failures(task: Any, enough: int) -> Iterator[Problem]:
    """A refusal, or a difference of the reconciliation, is bad at once; other failures repeated."""
    run = task.last_run
    if run is None:
        return
    if run.error_code == DIFFERENCE.code:
        params = of_error(run)
        url = run.get_absolute_url()
        yield Problem(Code.DIFFERENCE, "", url, params, since=run.finished_at)
    elif task.enabled and task.failures and run.state in (State.FAILED, State.INTERRUPTED):
        refuses = run.error_code in REFUSALS
        is_bad = refuses or task.failures >= enough
        params = {
            **_names(task),
            **of_error(run),
            "n": task.failures,
            "interrupted": run.state == State.INTERRUPTED,
            "next": task.upcoming_at and task.upcoming_at.isoformat(),
        }
        yield Problem(
            Code.REFUSAL if refuses else Code.FAILURES,
            _key(task),
            answered_at(run) or run.get_absolute_url(),
            params,
            None if is_bad else Severity.WARN,
            since=None if refuses else run.finished_at,
            server_id=getattr(task, "server_id", None),
            notify=is_bad,
            technical=run.error_technical,
        )


def answered_at(run: Any) -> str:
    """Return the page where the question that has stopped a run is answered; empty without one."""
    if run.error_code in ASKED_ONCE:
        return address(ASKED_ONCE[run.error_code])
    server = getattr(run, "server", None)
    return server.get_absolute_url() if server and run.error_code in OF_SERVERS else ""


def asked_once(failed: list[Problem]) -> Iterator[Problem]:
    """Yield the problems; a question that is the same for many tasks is one.

    What shop All has lost is asked once for the whole installation, and rows that were deleted from
    a staging table by hand once for all bonus servers.
    """
    asked = set()
    for one in failed:
        code = one.params.get("code") if one.code == Code.REFUSAL else ""
        if code == ROWS_DIFFER.code:
            key = f"{code}:{one.params['kind']}"
        elif code == SHOP_ALL_WENT_BACK.code:
            key = code
        else:
            yield one
            continue
        if key not in asked:
            asked.add(key)
            yield replace(one, key=key, server_id=None)


def unknown(tasks: list[TransferTask], heard: Mapping[int, Backlog]) -> Iterator[Unknown]:
    """The problems that are unknown while the databases do not answer.

    Whether a database answers, `outages` finds out.
    """
    for task in tasks:
        asked = heard.get(task.pk)
        if asked is None or asked.error is not None:
            yield Unknown(Topic.LATE, _key(task))
            yield Unknown(Topic.LATE, f"writing:{task.pk}")


def of_databases(tasks: list[TransferTask], heard: Mapping[int, Backlog]) -> Iterator[Problem]:
    """One problem for each database that could not be asked, not one for each of its tasks."""
    waiting: dict[int, int] = defaultdict(int)  # rows, by server
    for task in tasks:
        if task.pk in heard:
            waiting[task.server_id] += heard[task.pk].at_least or 0
    listed = set()
    for task in tasks:
        asked = heard.get(task.pk)
        if asked is None or asked.error is None:
            continue
        error = asked.error
        is_shop_all = error.party == SHOP_ALL
        key = outages.OF_SHOP_ALL if is_shop_all else f"database:{task.server_id}"
        if key not in listed:
            listed.add(key)
            url = f"{address('scheduler')}?server={task.server_id}"
            params = {
                "code": error.code,
                "error": error.params,
                "at_least": waiting[task.server_id],
            }
            yield Problem(
                Code.DATABASE,
                key,
                url,
                params,
                server_id=None if is_shop_all else task.server_id,
                technical=error.technical,
            )


def of_backlog(
    task: TransferTask, asked: Backlog, settings: Settings, now: datetime
) -> Iterator[Problem]:
    rests = not task.enabled or task.is_paused(now)  # somebody wants it: see `overview.rests`
    if asked.rows and asked.oldest and not rests and is_late(task, asked.oldest, settings, now):
        params = {**_names(task), "n": asked.rows, "since": asked.oldest.isoformat()}
        yield _warning(Code.LATE, task, params, since=asked.oldest)
    if asked.writing_since and now - asked.writing_since > OPEN_LONG:
        params = {**_names(task), "since": asked.writing_since.isoformat()}
        yield _warning(
            Code.WRITING, task, params, since=asked.writing_since, key=f"writing:{task.pk}"
        )


def of_delays(tasks: list[TransferTask], limit: int, now: datetime) -> Iterator[Problem]:
    """Tasks that are on and have moved rows in the last 24 hours, but too many of them late."""
    of_day = FlowHour.objects.delays(now)
    for task in tasks:
        seconds = most_within(of_day.get(task.pk, ()))
        if task.enabled and seconds is not None and seconds > limit:
            params = {**_names(task), "limit": limit, "rows": sum(of_day[task.pk])}
            params["late"] = later_than(limit, of_day[task.pk])
            yield _warning(Code.SLOW, task, params, key=f"slow:{task.pk}")


def is_late(task: TransferTask, oldest: datetime, settings: Settings, now: datetime) -> bool:
    """Whether a row has waited longer than the settings allow, and longer than for two runs.

    The runs are counted, since the times of a schedule may be hours apart by day and days apart
    over the weekend. A run within a minute of the row may have begun before it was committed.
    """
    if now - oldest <= timedelta(minutes=settings.alert_minutes):
        return False
    return task.next_times(2, oldest + timedelta(minutes=1))[-1] < now


def _warning(
    code: Code, task: TransferTask, params: dict[str, Any], key: str = "", **fields: Any
) -> Problem:
    url = address("task", f"transfer-{task.pk}")
    about = {"server_id": task.server_id, **fields}
    return Problem(code, key or _key(task), url, params, **about)


def _key(task: Any) -> str:
    kind = "task" if isinstance(task, TransferTask) else "maintenance"
    return f"{kind}:{task.pk}"


def _names(task: Any) -> dict[str, str]:
    return task.audit_params()
