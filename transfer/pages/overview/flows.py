"""The scheme of the manual: rows that wait in shop All and that arrived at each bonus server."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from django.utils import timezone

from transfer.models import BonusServer, TransferRun
from transfer.pages import links
from transfer.pages.components.states import TONES, Look, look
from transfer.pages.filters import midnight
from transfer.pages.scheduler.status import TaskStatus
from transfer.text import formats

LANE, GAP = 50, 14  # in the drawing: the height of a flow, and the gap between two servers
DRAWN_AT_MOST = 8


@dataclass(frozen=True)
class Flow:
    """One arrow: the rows of a kind, from shop All to a bonus server."""

    row: TaskStatus
    today: date
    arrived: int  # rows, today
    y: int

    @cached_property
    def arrived_url(self) -> str:
        kind, day = self.row.task.kind, self.today.isoformat()
        return links.history(server=self.row.task.server_id, kind=kind, since=day, data_only="on")

    @cached_property
    def look(self) -> Look:
        return look(self.row.state, "task")

    @property
    def words(self) -> str:
        """Its state in words, with the time that it names."""
        task, times = self.row.task, {}
        if self.row.state == "paused":
            times["until"] = formats.clock(task.paused_until)
        elif self.row.state == "planned":
            times["at"] = formats.clock(task.upcoming_at)
        return str(self.look.word) % times

    @property
    def state_url(self) -> str:
        """Where the reason for its state is found: the run, or the task."""
        row = self.row
        run = row.last_run if row.state == "failed" else row.run
        return str(run.get_absolute_url()) if run else row.url


@dataclass(frozen=True)
class Receiver:
    """A bonus server with its flows."""

    server: BonusServer
    flows: Sequence[Flow]
    y: int

    @property
    def height(self) -> int:
        return LANE * len(self.flows)

    @property
    def badness(self) -> int:
        """A number that is lower for a worse state."""
        return min(TONES.index(flow.look.tone) for flow in self.flows)


@dataclass(frozen=True)
class Scheme:
    """All receivers, for the table, and those that are drawn."""

    receivers: Sequence[Receiver]
    drawn: Sequence[Receiver]

    @property
    def height(self) -> int:
        last = self.drawn[-1]
        return last.y + last.height


def scheme(rows: Sequence[TaskStatus]) -> Scheme | None:
    """The scheme of all transfer tasks. Of many servers only the worst are drawn. One query."""
    today = timezone.localdate()
    arrived = TransferRun.objects.filter(queued_at__gte=midnight(today)).arrived()
    by_server: dict[BonusServer, list[TaskStatus]] = {}
    for row in sorted(rows, key=lambda row: (row.task.server_id, row.kind_order)):
        by_server.setdefault(row.task.server, []).append(row)

    def place(servers: Iterable[BonusServer]) -> Iterator[Receiver]:
        top = 0
        for server in servers:
            flows = [
                Flow(row, today, arrived.get((server.pk, row.task.kind), 0), top + LANE * number)
                for number, row in enumerate(by_server[server])
            ]
            yield Receiver(server, flows, top)
            top += LANE * len(flows) + GAP

    drawn = receivers = [*place(by_server)]
    if len(receivers) > DRAWN_AT_MOST:
        worst = sorted(receivers, key=lambda one: one.badness)
        drawn = [*place(one.server for one in worst[:DRAWN_AT_MOST])]
    return Scheme(receivers, drawn) if drawn else None
