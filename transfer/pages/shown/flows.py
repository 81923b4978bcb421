"""The scheme of the manual: rows that wait in shop All and that arrived at each bonus server.

Of many servers the scheme shows the sums, and a table the servers, what is wrong first.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from django.utils import timezone
from django.utils.translation import gettext as _

from transfer.models import BonusServer, LeftBehind, TransferRun
from transfer.models.flow_hours import most_within
from transfer.models.tasks import KindChoices
from transfer.pages import links
from transfer.pages.shown.looks import Look
from transfer.pages.shown.task_groups import (
    MANY,
    ServerGroup,
    Waiting,
    added,
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
    """One arrow: the rows of a kind, from shop All to a bonus server."""

    row: TaskStatus
    today: date
    arrived: int  # rows, today
    y: int

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def kind(self) -> str:
        return str(self.row.task.get_kind_display())

    @property
    def url(self) -> str:
        return self.row.url

    @property
    def waiting(self) -> Waiting:
        return added([self.row])

    @cached_property
    def arrived_url(self) -> str:
        return _runs_of(self.today, server=self.row.task.server_id, kind=self.row.task.kind)

    @property
    def look(self) -> Look:
        return self.row.look

    @property
    def most_within(self) -> float | None:
        return most_within(self.row.delays)

    @property
    def words(self) -> str:
        return self.row.state_words

    @property
    def state_url(self) -> str:
        return self.row.state_url


@dataclass(frozen=True)
class KindTotal:
    """One arrow: the rows of a kind, from shop All to all of many bonus servers."""

    rows: Sequence[TaskStatus]
    today: date
    arrived: int  # rows, today; one that arrived at two servers counts twice
    y: int

    @property
    def kind(self) -> str:
        return str(self.rows[0].task.get_kind_display())

    @property
    def name(self) -> str:
        return self.kind

    @property
    def url(self) -> str:
        return links.scheduler(kind=self.rows[0].task.kind, sort="-waits")

    @property
    def waiting(self) -> Waiting:
        return added_once(self.rows)

    @cached_property
    def arrived_url(self) -> str:
        return _runs_of(self.today, kind=self.rows[0].task.kind)

    @cached_property
    def worst(self) -> TaskStatus:
        return min(self.rows, key=lambda row: row.badness)

    @property
    def look(self) -> Look:
        return self.worst.look

    @property
    def words(self) -> str:
        """The worst state, and on how many servers."""
        alike = sum(row.state == self.worst.state for row in self.rows)
        if alike == len(self.rows):
            return self.worst.state_words
        words = {"state": self.worst.state_words, "n": alike, "all": len(self.rows)}
        return _("%(state)s: %(n)s of %(all)s") % words

    @property
    def state_url(self) -> str:
        return self.url


@dataclass(frozen=True)
class Receiver:
    """A bonus server with its flows."""

    group: ServerGroup
    flows: Sequence[Flow]
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
    def arrived_url(self) -> str:
        return _runs_of(self.flows[0].today, server=self.server.pk)

    @property
    def most_within(self) -> float | None:
        """The delay of its slowest flow."""
        known = [flow.most_within for flow in self.flows if flow.most_within is not None]
        return max(known, default=None)


@dataclass(frozen=True)
class Scheme:
    """All bonus servers with their flows; of many, also the sums by kind, which are drawn."""

    receivers: Sequence[Receiver]
    totals: Sequence[KindTotal]

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
    return links.history(**filters, since=today.isoformat(), data_only="on")


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
        flows = [
            Flow(row, today, arrived.get((group.server.pk, row.task.kind), 0), top + LANE * number)
            for number, row in enumerate(group.rows)
        ]
        placed.append(Receiver(group, flows, top, group.server.pk in left))
        top += LANE * len(flows) + GAP
    return placed


def _totals(rows: Sequence[TaskStatus], today: date, arrived: Arrived) -> list[KindTotal]:
    of_kind = {kind: [row for row in rows if row.task.kind == kind] for kind in KindChoices.values}
    return [
        KindTotal(
            of_one,
            today,
            sum(count for (_server, one), count in arrived.items() if one == kind),
            LANE * number,
        )
        for number, (kind, of_one) in enumerate(of_kind.items())
        if of_one
    ]
