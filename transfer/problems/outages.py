"""Folds all that is wrong with one bonus server, or with shop All, into one problem: an outage.

A server that dies is noticed by the check of its ports, by the question what waits, by pages and by
each of its runs. People read one line about it, and those are its causes. Since when each part
fails, and since when it answers again, is recorded once (`models/outage_parts.py`), by whoever sees
it first. The outage goes on until what waited has been moved: first the server does not answer,
then it answers again and its transfers catch up. What it was like before, its incident knows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from transfer.causes.catalogue import CATALOGUE
from transfer.causes.connections import (
    DATABASE_MISSING,
    LOGIN_REFUSED,
    LOSE_CONTACT,
    TOO_SLOW,
    WEAK_LOGIN,
)
from transfer.models import BonusServer, Incident, TransferTask
from transfer.models.addresses import address
from transfer.models.alerts import Severity
from transfer.models.failing import saved_error
from transfer.models.outage_parts import ALL_TRIED, OutagePart, Part
from transfer.parties import SHOP_ALL
from transfer.problems.kinds import Code
from transfer.problems.problem import Problem, Unknown
from transfer.runs.backlog import Backlog

# The doors of a server, by the code of the problem that one of them has. The database comes first:
# it is the one that transfers need.
DOORS = {
    Code.DATABASE: str(Part.DATABASE),
    Code.SERVER: str(Part.ADMIN),
    Code.SERVICE_PORT: str(Part.SERVICE),
}
FOLDED = (*DOORS, Code.FAILURES)
OF_SHOP_ALL = "database:shop_all"
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
    only: str = "",
    *,
    has_records: bool = True,
) -> Iterator[Problem | Unknown]:
    """Yields an outage in place of its causes, and everything else as it is.

    `tasks` come from `attach_runs`; `heard` are backlogs by the numbers of transfer tasks. What is
    folded is unknown by its own name: an incident about it stays open, and none begins. `only`:
    the key of the one outage that is wanted, if not all are. `has_records`: whether there are
    incidents of outages, or parts that fail or have failed.
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
    begun: dict[str, Incident] = {}
    parts: dict[str, list[OutagePart]] = {}  # those that fail, or have failed
    if has_records:
        begun = {one.key: one for one in Incident.objects.open().filter(code=Code.OUTAGE)}
        for part in OutagePart.objects.order_by("pk"):
            key = of_server(part.server_id) if part.server_id else OF_SHOP_ALL
            parts.setdefault(key, []).append(part)
    transfers: dict[str, list[TransferTask]] = {OF_SHOP_ALL: []}
    for task in tasks:
        if isinstance(task, TransferTask):
            transfers[OF_SHOP_ALL].append(task)
            transfers.setdefault(of_server(task.server_id), []).append(task)
    for key in dict.fromkeys([*causes, *begun, *parts]):
        if only and key != only:
            continue
        listed = causes.get(key, [])
        yield from (Unknown(cause.topic, cause.key) for cause in listed)
        evidence = Evidence(
            key,
            listed,
            begun.get(key),
            parts.get(key, ()),
            transfers.get(key, []),
            heard,
            now,
        )
        if problem := evidence.problem():
            yield problem
    failing = {cause.key for listed in causes.values() for cause in listed}
    for one in others:
        is_folded = one.code == Code.LATE and one.key in failing
        yield Unknown(one.topic, one.key) if is_folded else one


def _key(problem: Problem) -> str:
    """The key of the outage that the problem is a cause of; empty if it is none."""
    if problem.code not in FOLDED:
        return ""
    if problem.key == OF_SHOP_ALL:
        return OF_SHOP_ALL
    if not problem.server_id:
        return ""
    error = saved_error(problem.params["code"], problem.params["error"])
    return OF_SHOP_ALL if error.party == SHOP_ALL else of_server(problem.server_id)


def loses_contact(code: str) -> bool:
    """Whether the error of this code means that there was no connection, or that it broke."""
    return CATALOGUE.get(code) in LOSE_CONTACT


def is_silent(code: str) -> bool:
    """Whether the error of this code means that there was no answer."""
    return loses_contact(code) and CATALOGUE[code] not in ANSWERS


def _is_interrupted(failed: Problem) -> bool:
    """Whether a run failed since its process or a connection was gone."""
    return bool(failed.params["interrupted"]) or loses_contact(failed.params["code"])


def rank(params: Mapping[str, Any]) -> tuple[bool, int]:
    """How much of a server is out of order, by the parameters of its outage, or of any problem."""
    stops = bool(params.get("stopped"))
    return stops, 0 if stops else len(params.get("doors", ())) + params.get("bad", 0)


@dataclass
class Evidence:
    """What is known of a server, or of shop All, with which something is or was wrong."""

    key: str
    found: list[Problem]
    incident: Incident | None  # the open one, if the outage has begun
    parts: Sequence[OutagePart]
    tasks: list[TransferTask]  # its transfers; of shop All, those of all servers
    heard: Mapping[int, Backlog]
    now: datetime

    def problem(self) -> Problem | None:
        """Return the outage; None if nothing is known to be wrong, or to have been."""
        if self._is_unheard:
            return self._as_before()
        if not (self.causes or self.is_over):
            return None
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
            is_over=self.is_over and not self.causes,
        )

    def _as_before(self) -> Problem | None:
        """Return what was known a minute ago, since nothing was heard meanwhile."""
        if self.incident is None:
            return None
        return Problem(
            Code.OUTAGE,
            self.key,
            self._url,
            self.incident.params,
            Severity(self.incident.severity),
            since=self._since,
            server_id=self._server_id,
            notify=self.incident.notify,
        )

    @cached_property
    def _before(self) -> Mapping[str, Any]:
        """The parameters of the outage a minute ago."""
        return self.incident.params if self.incident else {}

    @cached_property
    def _asked(self) -> list[Backlog]:
        """What was heard of its database. Where shop All does not answer, no other was asked."""
        heard = [self.heard[task.pk] for task in self.tasks if task.pk in self.heard]
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
        is_of_server = self.key != OF_SHOP_ALL and self.tasks
        return self.tasks[0].server if is_of_server else None

    @cached_property
    def _doors(self) -> dict[str, OutagePart]:
        """The doors that fail or have failed, in the order of DOORS."""
        parts = {one.part: one for one in self.parts}
        return {door: parts[door] for door in DOORS.values() if door in parts}

    @cached_property
    def _closed(self) -> list[str]:
        """The doors with which something is wrong, as far as is known."""
        found = {DOORS[one.code] for one in self.found if one.code in DOORS}
        failing = {door for door, part in self._doors.items() if part.answered_at is None}
        return [door for door in DOORS.values() if door in found | failing]

    @property
    def _is_unheard(self) -> bool:
        """Whether something is wrong of which nothing was heard in the last minutes."""
        return bool(self._closed) and not self.found

    @cached_property
    def is_over(self) -> bool:
        """Whether all is well again, and only runs that failed meanwhile are to be repeated."""
        if self._closed:
            return False
        if not self.found:
            return bool(self.parts or self.incident)
        if not self.causes:
            return bool(self._doors)
        was_stopped = Part.DATABASE in self._doors or bool(self._before.get("stopped"))
        return was_stopped and all(
            one.since is not None and one.since <= self._answered and _is_interrupted(one)
            for one in self.causes
        )

    @property
    def _answered(self) -> datetime:
        """Since when all is well again."""
        answered = [one.answered_at for one in self._doors.values() if one.answered_at]
        if answered:
            return max(answered)
        if at := self._before.get("answered"):
            return datetime.fromisoformat(at)
        runs = [task.last_success for task in self.tasks if task.last_success]  # type: ignore[attr-defined]
        good = [run.finished_at for run in runs if self._since < run.finished_at <= self.now]
        return max(good, default=self.now)

    @cached_property
    def causes(self) -> list[Problem]:
        """What is wrong, without what has to wait: once all doors answer, a paused task whose run
        was interrupted catches up when its pause ends. That is said elsewhere.
        """
        paused = {f"task:{task.pk}" for task in self.tasks if task.is_paused(self.now)}
        found = []
        for one in self.found:
            if self._closed or one.key not in paused or not _is_interrupted(one):
                # Of a door, since when it fails; of a run, when it failed.
                since = self._begins.get(DOORS[one.code]) if one.code in DOORS else one.since
                found.append(replace(one, since=since))
        return sorted(found, key=lambda one: FOLDED.index(one.code))

    @cached_property
    def _begins(self) -> Mapping[str, datetime]:
        """Since when each part fails, or has failed."""
        return {one.part: one.since for one in self.parts}

    @property
    def _since(self) -> datetime:
        """The begin of the outage: the first failure that anything has seen."""
        begun = [self.incident.began_at] if self.incident else []
        seen = [*begun, *self._begins.values()]
        # A task that failed long ago and was paused since then.
        return min(seen or [one.since for one in self.causes if one.since], default=self.now)

    @property
    def _is_for_a_message(self) -> bool:
        """Whether it is bad enough, and all doors were tried since the first of them failed.

        So a dead server brings one message, not one for each door.
        """
        if self.incident and self.incident.notify:
            return True
        if any(one.notify for one in self.causes if one.code == Code.FAILURES):
            return True
        failed = [part.since for door, part in self._doors.items() if door in self._closed]
        if not failed:
            return False
        first = min(failed)
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
        return address("scheduler")

    @property
    def _params(self) -> dict[str, Any]:
        if self.is_over:
            last = self._before or self._params_now
            failing = self._params_now["failing"]
            return {**last, "failing": failing, "answered": self._answered.isoformat()}
        return self._params_now

    @cached_property
    def _params_now(self) -> dict[str, Any]:
        silent = self._silent
        # Without an incident it was over before the first look.
        ever = {*silent, *self._before.get("ever", self._doors if self.is_over else ())}
        return {
            "server": self._server.name if self._server else "",
            "doors": self._closed,
            "since": self._silent_since.isoformat(),
            "silent": silent,
            "ever": [door for door in DOORS.values() if door in ever],
            "ports": self._ports,
            "stopped": "database" in self._closed or bool(self._before.get("stopped")),
            "failing": sum(one.code == Code.FAILURES for one in self.causes),
            "bad": sum(
                one.code == Code.FAILURES and one.severity == Severity.BAD for one in self.causes
            ),
            "waiting": sum(task.enabled and not task.is_paused(self.now) for task in self.tasks),
            "answered": None,
            "causes": [[one.code, one.params] for one in self.causes],
        }

    @property
    def _silent(self) -> list[str]:
        """The doors that give no answer, in the order of DOORS."""
        before = self._before.get("silent", ())
        of_doors = [one for one in self.found if one.code in DOORS]
        found = {DOORS[one.code]: is_silent(one.params["code"]) for one in of_doors}
        return [door for door in self._closed if found.get(door, door in before)]

    @property
    def _silent_since(self) -> datetime:
        """The begin, unless what transfers need was lost much later than another part failed."""
        began = {door: self._begins.get(door, self._since) for door in self._silent}
        return began.get(Part.DATABASE) or min(began.values(), default=self._since)

    @property
    def _ports(self) -> dict[str, int]:
        if self._server is None:
            return {}
        return {"admin": self._server.admin_port, "service": self._server.work_port}
