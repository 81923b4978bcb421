"""One thing that is wrong, as a value."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from transfer.models.alerts import Incident, Severity, Topic
from transfer.models.failing import Failing
from transfer.problems import kinds
from transfer.problems.kinds import KINDS, Code
from transfer.text import formats


@dataclass(frozen=True)
class Problem:
    """Something that is wrong. `params` give its sentence and hint, in any language."""

    code: Code
    key: str  # names the subject, such as "task:12"; with the topic it names the problem
    url: str  # of the page that shows the subject
    params: dict[str, Any] = field(default_factory=dict)  # for JSON
    own_severity: Severity | None = None  # if it is not that of its kind
    since: datetime | None = None
    server_id: int | None = None  # a planned work on this server silences it
    notify: bool = True  # whether it is bad enough for a message
    causes: "tuple[Problem, ...]" = ()  # of an outage
    is_over: bool = False  # nothing is left of it: its incident ends at the next look
    technical: str = ""  # what a database or a program said in its own words
    incident: Incident | None = None  # who looks after it; None until the next tick has noted it

    @property
    def severity(self) -> Severity:
        return self.own_severity or KINDS[self.code].severity

    @property
    def topic(self) -> Topic:
        return KINDS[self.code].topic

    @property
    def name(self) -> tuple[str, str]:
        """The key that identifies it among the problems that exist at the same time."""
        return str(self.topic), self.key

    @property
    def sentence(self) -> str:
        """What is wrong, without a full stop."""
        return kinds.sentence(self.code, self.params)

    @property
    def incidents(self) -> list[Incident]:
        """Its incident, if it is noted: as a group has those of its members."""
        return [self.incident] if self.incident else []

    @property
    def folded(self) -> "tuple[Problem, ...]":
        """The causes, if they say more than the sentence does."""
        says_more = any(one.technical or one.sentence not in self.sentence for one in self.causes)
        return self.causes if says_more else ()

    @property
    def sql(self) -> str:
        """By which an administrator of the database repairs it."""
        return str(self.params["error"].get("script", "")) if self.code == Code.GUARDS else ""

    @property
    def detail(self) -> str:
        """Since when, unless the sentence says so, and the hint."""
        if self.since is None or KINDS[self.code].says_when(self.params):
            return self.hint
        since = _("Since %(since)s.") % {"since": formats.bound(self.since, zone=True)}
        return f"{since} {self.hint}".strip()

    @property
    def hint(self) -> str:
        """What it means for the rows, and what to do."""
        return kinds.hint(self.code, self.params)


def of_error(failing: Failing) -> dict[str, Any]:
    """What a problem says of an error."""
    return {"code": failing.error_code, "error": failing.error_params}


@dataclass(frozen=True)
class Unknown:
    """A problem that may or may not exist at the moment: its incident stays open."""

    topic: Topic
    key: str

    @property
    def name(self) -> tuple[str, str]:
        return str(self.topic), self.key
