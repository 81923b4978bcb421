"""What was wrong and is over: for the overview, and for the lists of incidents."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import chain
from typing import Any

from django.utils.translation import ngettext_lazy

from transfer.models import Incident
from transfer.problems import kinds, outage_words
from transfer.problems.groups import ENOUGH, TOGETHER
from transfer.problems.kinds import Code
from transfer.problems.outage_words import DATABASE, PORTS, WHOLE

NIGHT = timedelta(hours=24)
# Outages that were alike, by `outage_words.extent`.
ALIKE = {
    WHOLE: ngettext_lazy(
        "%(n)s bonus server did not answer", "%(n)s bonus servers did not answer", "n"
    ),
    DATABASE: ngettext_lazy(
        "The database of %(n)s bonus server did not answer",
        "The databases of %(n)s bonus servers did not answer",
        "n",
    ),
    PORTS: ngettext_lazy(
        "The ports of %(n)s bonus server did not answer",
        "The ports of %(n)s bonus servers did not answer",
        "n",
    ),
}


@dataclass(frozen=True)
class Past:
    """An incident that is over, or several that were alike."""

    incidents: Sequence[Incident]

    @cached_property
    def sentence(self) -> str:
        """What was wrong."""
        if len(self.incidents) == 1:
            return what(self.incidents[0])
        return alike(self.incidents)

    @property
    def members(self) -> list["Past"]:
        """Each incident by itself, where there are several."""
        return [Past([one]) for one in self.incidents] if len(self.incidents) > 1 else []

    @property
    def url(self) -> str:
        return self.incidents[0].url

    @property
    def began_at(self) -> datetime:
        return min(one.began_at for one in self.incidents)

    @property
    def until(self) -> datetime | None:
        return max((one.until for one in self.incidents if one.until), default=None)

    @property
    def lasted(self) -> timedelta:
        """The longest of them."""
        return max(one.lasted for one in self.incidents)

    @property
    def waited(self) -> int | None:
        known = [one.waited for one in self.incidents if one.waited is not None]
        return sum(known) if known else None

    @property
    def caught_up_at(self) -> datetime | None:
        return max((one.caught_up_at for one in self.incidents if one.caught_up_at), default=None)


def what(incident: Incident) -> str:
    """What was wrong."""
    return kinds.past(incident.code, incident.params)


def alike(incidents: Sequence[Incident]) -> str:
    """What was wrong, of incidents of one kind."""
    _code, extent = kind(incidents[0].code, incidents[0].params)
    return str(ALIKE[extent] % {"n": len(incidents)})


def night(now: datetime, hidden: Collection[str] = ()) -> list[Past]:
    """What went wrong in the last 24 hours and is over, the latest first. One query.

    `hidden`: the codes of problems that the reader may not see.
    """
    by_kind: dict[object, list[Incident]] = {}
    for incident in Incident.objects.past().since(now - NIGHT).exclude(code__in=hidden):
        key = kind(incident.code, incident.params) or incident.pk
        by_kind.setdefault(key, []).append(incident)
    lines = []
    for incidents in chain.from_iterable(map(_together, by_kind.values())):
        if len(incidents) < ENOUGH:
            lines += [Past([one]) for one in incidents]
        else:
            lines.append(Past(incidents))
    return sorted(lines, key=lambda line: line.began_at, reverse=True)


def _together(incidents: Sequence[Incident]) -> list[list[Incident]]:
    """The incidents, the latest first, in groups of those that began together."""
    groups: list[list[Incident]] = []
    for one in incidents:
        if groups and groups[-1][-1].began_at - one.began_at <= TOGETHER:
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def kind(code: str, params: dict[str, Any]) -> tuple[str, ...]:
    """The key of similar outages; empty if the outage has a line of its own."""
    if code != Code.OUTAGE or not params["server"] or not params["ever"]:
        return ()
    return code, outage_words.extent(params["ever"])
