"""Many servers, or tasks, with the same trouble are one line, whose names are folded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _, ngettext_lazy

from transfer.models.addresses import address
from transfer.models.alerts import Incident, Severity
from transfer.problems import outage_words
from transfer.problems.kinds import Code
from transfer.problems.outage_words import AGAIN, CAUSE, DATABASE, OVER, PORTS, WHOLE
from transfer.problems.problem import Problem
from transfer.text import formats

Params = dict[str, Any]

ENOUGH = 4  # so many lines alike become one
# Began together, as far as a reader is concerned.
TOGETHER = timedelta(minutes=5)

# Sentences of outages, by their `outage_words.kind`.
OUTAGES = {
    WHOLE: ngettext_lazy(
        "%(n)s bonus server has not answered", "%(n)s bonus servers have not answered", "n"
    ),
    DATABASE: ngettext_lazy(
        "The database of %(n)s bonus server has not answered",
        "The databases of %(n)s bonus servers have not answered",
        "n",
    ),
    PORTS: ngettext_lazy(
        "The ports of %(n)s bonus server have not answered",
        "The ports of %(n)s bonus servers have not answered",
        "n",
    ),
}
ANSWERING = {
    AGAIN: ngettext_lazy(
        "%(n)s bonus server answers again, and its transfers catch up",
        "%(n)s bonus servers answer again, and their transfers catch up",
        "n",
    ),
    OVER: ngettext_lazy(
        "%(n)s bonus server is well again", "%(n)s bonus servers are well again", "n"
    ),
    CAUSE: ngettext_lazy(
        "%(n)s bonus server has a problem of the same kind",
        "%(n)s bonus servers have a problem of the same kind",
        "n",
    ),
}
LATE = ngettext_lazy(
    "In %(n)s transfer rows wait for too long",
    "In %(n)s transfers rows wait for too long",
    "n",
)


@dataclass(frozen=True)
class Group:
    """Several problems of one kind. The overview shows it as it shows a problem."""

    members: Sequence[Problem]
    sentence: str
    url: str

    @property
    def topic(self) -> str:
        return self.members[0].topic

    @property
    def key(self) -> str:
        """The key that identifies the line."""
        return " ".join(kind(self.members[0].code, self.members[0].params))

    @property
    def incidents(self) -> list[Incident]:
        return [incident for one in self.members for incident in one.incidents]

    @property
    def severity(self) -> Severity:
        is_bad = any(one.severity == Severity.BAD for one in self.members)
        return Severity.BAD if is_bad else Severity.WARN


def grouped(problems: Iterable[Problem]) -> list[Problem | Group]:
    """The problems, with a group in the place of the first of those that are alike."""
    by_kind: dict[Any, list[Problem]] = {}
    for number, one in enumerate(problems):
        by_kind.setdefault(kind(one.code, one.params) or number, []).append(one)
    lines: list[Problem | Group] = []
    for alike in by_kind.values():
        if len(alike) < ENOUGH:
            lines += alike
            continue
        code = alike[0].code
        is_late = code == Code.LATE
        url = f"{address('scheduler')}?sort=-waits" if is_late else address("servers")
        lines.append(Group(alike, sentence(code, [one.params for one in alike]), url))
    return lines


def kind(code: str, params: Params) -> tuple[str, ...]:
    """The key of similar problems; empty if the problem has a line of its own."""
    if code == Code.LATE:
        return (code,)
    if code == Code.OUTAGE and params["server"]:
        return (code, *outage_words.kind(params))
    return ()


def sentence(code: str, alike: Sequence[Params]) -> str:
    """What is wrong, of problems of this code that are alike; by the parameters of each."""
    n = len(alike)
    if code == Code.LATE:
        return _counted(LATE, n)
    extent, *_rest = outage_words.kind(alike[0])
    if extent in ANSWERING:
        return _counted(ANSWERING[extent], n)
    began = [datetime.fromisoformat(one["since"]) for one in alike]
    waiting = sum(one["waiting"] for one in alike) if extent != PORTS else 0
    names = {"what": _counted(OUTAGES[extent], n), "at": formats.bound(min(began))}
    if max(began) - min(began) <= TOGETHER:
        since = _("%(what)s since %(at)s") % names
    else:
        since = _("%(what)s, the first since %(at)s") % names
    return "; ".join(filter(None, [since, outage_words.waiting(waiting)]))


def _counted(words: Promise, n: int) -> str:
    return str(words % {"n": n})
