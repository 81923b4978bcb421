"""The scheme of the manual: rows that wait in shop All and that arrived at each bonus server.

Of many servers the scheme shows the sums, and a table the servers, what is wrong first.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from transfer.models import BonusServer, LeftBehind, TransferRun
from transfer.models.flow_hours import most_within
from transfer.models.tasks import KindChoices
from transfer.pages.shown.task_groups import (
    MANY,
    ServerGroup,
    Waiting,
    added_once,
    by_server,
)
from transfer.pages.shown.task_status import TaskStatus
from transfer.text import formats
from transfer.text.zones import midnight

LANE, GAP = 50, 14  # in the drawing: the height of a flow, and the gap between two servers
Arrived = Mapping[tuple[int | None, str], int]  # rows that arrived today, by server and kind


@dataclass(frozen=True)
class Flow:
    """One arrow: the rows of a kind, from shop All to a bonus server, or to all of many.

    `rows` are the tasks that move them. `url` leads to what waits, `state_url` to why.
    """

    rows: Sequence[TaskStatus]
    name: str
    url: str
    state_url: str
    arrived: int  # rows, today; one that arrived at two servers counts twice
    arrived_url: str
    y: int

    @property
    def kind(self) -> str:
        return str(self.rows[0].task.get_kind_display())

    @property
    def waiting(self) -> Waiting:
        return added_once(self.rows)

    @cached_property
    def worst(self) -> TaskStatus:
        return min(self.rows, key=lambda row: row.badness)

    @property
    def words(self) -> str:
        """The worst state; of many servers, on how many of them."""
        alike = sum(row.state == self.worst.state for row in self.rows)
        if alike == len(self.rows):
            return self.worst.state_words
        words = {"state": self.worst.state_words, "n": alike, "all": len(self.rows)}
        return _("%(state)s: %(n)s of %(all)s") % words


@dataclass(frozen=True)
class Receiver:
    """A bonus server with its flows."""

    group: ServerGroup
    flows: Sequence[Flow]
    arrived_url: str
    y: int
    is_left_behind: bool  # purges do not wait for it

    @property
    def server(self) -> BonusServer:
        return self.group.server

    @property
    def height(self) -> int:
        return LANE * len(self.flows)

    @property
    def arrived(self) -> int:
        return sum(flow.arrived for flow in self.flows)

    @property
    def most_within(self) -> float | None:
        """The delay of its slowest flow."""
        delays = [most_within(row.delays) for row in self.group.rows]
        return max((one for one in delays if one is not None), default=None)


@dataclass(frozen=True)
class Scheme:
    """All bonus servers with their flows; of many, also the sums by kind, which are drawn."""

    receivers: Sequence[Receiver]
    totals: Sequence[Flow]

    @property
    def is_many(self) -> bool:
        return bool(self.totals)

    @property
    def height(self) -> int:
        if self.is_many:
            return LANE * len(self.totals)
        last = self.receivers[-1]
        return last.y + last.height

    @property
    def wrong(self) -> list[Receiver]:
        return [one for one in self.receivers if one.group.is_wrong]

    @property
    def fine(self) -> list[Receiver]:
        return [one for one in self.receivers if not one.group.is_wrong]

    @property
    def states(self) -> list[tuple[str, str]]:
        """How many servers are in which state: the state, and the number in words."""
        counted = Counter(one.server.state for one in self.receivers)
        return [
            (str(state), formats.number(counted[state]))
            for state in BonusServer.State
            if counted[state]
        ]


def _runs_of(today: date, **filters: object) -> str:
    """Today's runs that moved rows."""
    query = {**filters, "since": today.isoformat(), "data_only": "on"}
    return reverse("history", query=query)


def scheme(rows: Sequence[TaskStatus]) -> Scheme | None:
    """The scheme of all transfer tasks; None if there is none. Two queries."""
    if not rows:
        return None
    today = timezone.localdate()
    arrived = TransferRun.objects.filter(queued_at__gte=midnight(today)).arrived()
    groups = by_server(rows)
    if len(groups) < MANY:
        # Their order in the drawing does not change with their states.
        groups.sort(key=lambda group: group.server.pk)
    receivers = _placed(groups, today, arrived)
    return Scheme(receivers, _totals(rows, today, arrived) if len(groups) >= MANY else [])


def _placed(groups: Sequence[ServerGroup], today: date, arrived: Arrived) -> list[Receiver]:
    """The servers below each other."""
    top, placed, left = 0, [], LeftBehind.objects.servers()
    for group in groups:
        server = group.server.pk
        flows = [
            Flow(
                [row],
                row.name,
                row.url,
                row.state_url,
                arrived.get((server, row.task.kind), 0),
                _runs_of(today, server=server, kind=row.task.kind),
                top + LANE * number,
            )
            for number, row in enumerate(group.rows)
        ]
        arrived_url = _runs_of(today, server=server)
        placed.append(Receiver(group, flows, arrived_url, top, server in left))
        top += LANE * len(flows) + GAP
    return placed


def _totals(rows: Sequence[TaskStatus], today: date, arrived: Arrived) -> list[Flow]:
    """The flow of each kind to all servers."""
    totals: list[Flow] = []
    for kind in KindChoices:
        of_kind = [row for row in rows if row.task.kind == kind]
        if of_kind:
            url = reverse("scheduler", query={"kind": kind.value, "sort": "-waits"})
            totals.append(
                Flow(
                    of_kind,
                    str(kind.label),
                    url,
                    url,
                    sum(count for (_server, one), count in arrived.items() if one == kind),
                    _runs_of(today, kind=kind.value),
                    LANE * len(totals),
                )
            )
    return totals
