"""Folds all that is wrong with one bonus server, or with shop All, into one problem: an outage.

A server that dies is noticed by the check of its ports, by the question what waits, and by each of
its runs. People read one line about it, and those are its causes. The outage goes on until what
waited has been moved: first the server does not answer, then it answers again and its transfers
catch up. Which of the two it is, and since when, the open incident of the outage knows.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.urls import reverse

from transfer.causes import CATALOGUE
from transfer.causes.connections import (
    DATABASE_MISSING,
    LOGIN_REFUSED,
    LOSE_CONTACT,
    TOO_SLOW,
    WEAK_LOGIN,
)
from transfer.errors import TransferError
from transfer.models import BonusServer, Incident, TransferTask
from transfer.models.alerts import Severity, Topic
from transfer.parties import SHOP_ALL
from transfer.problems.kinds import Code
from transfer.problems.problem import Problem, Unknown
from transfer.runs.backlog import Backlog

# The doors of a server, by the code of the problem that one of them has. The database comes first:
# it is the one that transfers need.
DOORS = {Code.DATABASE: "database", Code.SERVER: "admin", Code.SERVICE_PORT: "service"}
FOLDED = (*DOORS, Code.FAILURES)
OF_SHOP_ALL = "database:shop_all"
# In this time all doors were tried, or their checks do not run.
ALL_TRIED = timedelta(minutes=3)
# Of those that lose contact: what failed did answer, or only took too long.
ANSWERS = (DATABASE_MISSING, LOGIN_REFUSED, WEAK_LOGIN, TOO_SLOW)


def of_server(pk: int) -> str:
    """The key of the outages of a server."""
    return f"server:{pk}"


def fold(
    found: Iterable[Problem | Unknown],
    tasks: list[Any],
    heard: Mapping[int, Backlog],
    now: datetime,
) -> Iterator[Problem | Unknown]:
    """Yields an outage in place of its causes, and everything else as it is.

    `tasks` come from `attach_runs`; `heard` are backlogs by the numbers of transfer tasks. What is
    folded is unknown by its own name: an incident about it stays open, and none begins.
    """
    causes: dict[str, list[Problem]] = {}
    others: list[Problem] = []
    for one in found:
        if isinstance(one, Unknown):
            yield one
        elif key := _key(one):
            causes.setdefault(key, []).append(one)
        else:
            others.append(one)
    begun = {one.key: one for one in Incident.objects.open().filter(code=Code.OUTAGE)}
    transfers = [task for task in tasks if isinstance(task, TransferTask)]
    for key, listed in causes.items():
        evidence = Evidence(key, listed, begun.get(key), transfers, heard, now)
        yield from (Unknown(cause.topic, cause.key) for cause in listed)
        if evidence.causes:
            yield evidence.problem()
    for key, incident in begun.items():
        if key not in causes and Evidence(key, [], incident, transfers, heard, now).is_unknown:
            yield Unknown(Topic.FAILURES, key)
    failing = {cause.key for listed in causes.values() for cause in listed}
    for one in others:
        is_folded = one.code == Code.LATE and one.key in failing
        yield Unknown(one.topic, one.key) if is_folded else one


def _key(problem: Problem) -> str:
    """The key of the outage that the problem is a cause of; empty if it is none."""
    if problem.code not in FOLDED:
        return ""
    if problem.key == OF_SHOP_ALL or (problem.server_id and _party(problem) == SHOP_ALL):
        return OF_SHOP_ALL
    return of_server(problem.server_id) if problem.server_id else ""


def _party(problem: Problem) -> Any:
    return TransferError.saved(problem.params["code"], problem.params["error"]).party


def loses_contact(code: str) -> bool:
    """Whether the error of this code means that there was no connection, or that it broke."""
    return CATALOGUE.get(code) in LOSE_CONTACT


def is_silent(code: str) -> bool:
    """Whether the error of this code means that there was no answer."""
    return loses_contact(code) and CATALOGUE[code] not in ANSWERS


def rank(params: Mapping[str, Any]) -> tuple[bool, int]:
    """How much of a server is out of order, by the parameters of its outage, or of any problem."""
    stops = bool(params.get("stopped"))
    return stops, 0 if stops else len(params.get("doors", ())) + params.get("bad", 0)


@dataclass
class Evidence:
    """What is known of a server, or of shop All, with which something is wrong."""

    key: str
    found: list[Problem]
    incident: Incident | None  # the open one, if the outage has begun
    transfers: list[TransferTask]  # all of them
    heard: Mapping[int, Backlog]
    now: datetime

    def problem(self) -> Problem:
        return Problem(
            Code.OUTAGE,
            self.key,
            self._url,
            self._params,
            self._severity,
            since=self._since,
            server_id=self._server_id,
            notify=self._is_for_a_message,
            causes=tuple(self.causes),
        )

    @cached_property
    def _before(self) -> Mapping[str, Any]:
        """The parameters of the outage a minute ago."""
        return self.incident.params if self.incident else {}

    @cached_property
    def _tasks(self) -> list[TransferTask]:
        if self.key == OF_SHOP_ALL:
            return self.transfers
        return [task for task in self.transfers if of_server(task.server_id) == self.key]

    @cached_property
    def _asked(self) -> list[Backlog]:
        """What was heard of its database. Where shop All does not answer, no other was asked."""
        heard = [self.heard[task.pk] for task in self._tasks if task.pk in self.heard]
        is_of_shop_all = self.key == OF_SHOP_ALL
        return [
            one
            for one in heard
            if one.error is None or (one.error.party == SHOP_ALL) == is_of_shop_all
        ]

    @property
    def _server_id(self) -> int | None:
        return None if self.key == OF_SHOP_ALL else int(self.key.partition(":")[2])

    @property
    def _server(self) -> BonusServer | None:
        is_of_server = self.key != OF_SHOP_ALL and self._tasks
        return self._tasks[0].server if is_of_server else None

    @cached_property
    def _closed(self) -> list[str]:
        """The doors with which something is wrong now."""
        closed = [DOORS[one.code] for one in self.found if one.code in DOORS]
        if self.is_unknown:
            closed.append("database")
        return list(dict.fromkeys(closed))

    @property
    def is_unknown(self) -> bool:
        """Whether its database did not answer, and was not asked in the last minutes."""
        return not self._asked and "database" in self._before.get("doors", ())

    @cached_property
    def is_over(self) -> bool:
        """Whether it answers again, and only runs that failed meanwhile are to be repeated."""
        return (
            bool(self._before.get("stopped"))
            and not self._closed
            and bool(self._asked)
            and all(self._failed_meanwhile(one) for one in self.found)
        )

    def _failed_meanwhile(self, failed: Problem) -> bool:
        is_its = failed.params["interrupted"] or loses_contact(failed.params["code"])
        return is_its and failed.since is not None and failed.since <= self._answered

    @property
    def _answered(self) -> datetime:
        """Since when it answers again."""
        at = self._before.get("answered")
        return datetime.fromisoformat(at) if at else self.now

    @cached_property
    def causes(self) -> list[Problem]:
        """What is wrong. A paused task catches up when its pause ends: that is said elsewhere."""
        if not self.is_over:
            return sorted(self.found, key=lambda one: FOLDED.index(one.code))
        paused = {f"task:{task.pk}" for task in self._tasks if task.is_paused(self.now)}
        return [one for one in self.found if one.key not in paused]

    @property
    def _since(self) -> datetime:
        """Since when something is wrong; if that is new, since its first cause."""
        if self.incident:
            return self.incident.began_at
        times = (one.since for one in self.found if one.since)
        # The last run may have failed long before anybody looked.
        return min([self.now, *(at for at in times if self.now - at < ALL_TRIED)])

    @cached_property
    def _since_of(self) -> dict[str, str]:
        """Since when each door is closed."""
        before = self._before.get("since_of", {})
        found = {
            DOORS[one.code]: (one.since or self.now).isoformat()
            for one in self.found
            if one.code in DOORS
        }
        return {door: before.get(door) or found[door] for door in self._closed}

    @property
    def _is_for_a_message(self) -> bool:
        """Whether it is bad enough, and all doors were tried since the first of them failed.

        So a dead server brings one message, not one for each door.
        """
        if self.incident and self.incident.notify:
            return True
        if any(one.notify for one in self.causes if one.code == Code.FAILURES):
            return True
        if not self._since_of:
            return False
        first = datetime.fromisoformat(min(self._since_of.values()))
        tried = [one.asked_at for one in self._asked]
        if self._server and self._server.checked_at:
            tried.append(self._server.checked_at)
        return self.now - first > ALL_TRIED or all(at >= first for at in tried)

    @property
    def _severity(self) -> Severity:
        is_bad = any(one.severity == Severity.BAD for one in self.causes)
        return Severity.BAD if is_bad and not self.is_over else Severity.WARN

    @property
    def _url(self) -> str:
        failed = [one for one in self.causes if one.code == Code.FAILURES]
        if len(self.causes) == 1 and failed:
            return failed[0].url
        if self._server:
            return self._server.get_absolute_url()
        return reverse("scheduler")

    @property
    def _params(self) -> dict[str, Any]:
        common = {
            "failing": sum(one.code == Code.FAILURES for one in self.causes),
        }
        if self.is_over:
            return {**self._before, **common, "answered": self._answered.isoformat()}
        silent = self._silent
        ever = [door for door in DOORS.values() if door in {*silent, *self._before.get("ever", ())}]
        return {
            **common,
            "server": self._server.name if self._server else "",
            "doors": self._closed,
            "since_of": self._since_of,
            "silent": silent,
            "ever": ever,
            "ports": self._ports,
            "stopped": "database" in self._closed or bool(self._before.get("stopped")),
            "bad": sum(
                one.code == Code.FAILURES and one.severity == Severity.BAD for one in self.causes
            ),
            "waiting": sum(task.enabled and not task.is_paused(self.now) for task in self._tasks),
            "answered": None,
            "causes": [[one.code, one.params] for one in self.causes],
        }

    @property
    def _silent(self) -> list[str]:
        """The doors that give no answer, in the order of DOORS."""
        before = self._before.get("silent", ())
        of_doors = [one for one in self.found if one.code in DOORS]
        found = {DOORS[one.code]: is_silent(one.params["code"]) for one in of_doors}
        silent = [door for door in self._closed if found.get(door, door in before)]
        return [door for door in DOORS.values() if door in silent]

    @property
    def _ports(self) -> dict[str, int]:
        if self._server is None:
            return {}
        return {"admin": self._server.admin_port, "service": self._server.work_port}
