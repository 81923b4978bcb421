"""Many bonus servers as a compact table, what is wrong first."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from django.urls import reverse
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models import BonusServer
from transfer.pages.components.registers import counts
from transfer.pages.components.states import state_badge
from transfer.pages.components.times import ago
from transfer.pages.html import Html, joined, link, muted, with_note
from transfer.pages.parts.accounts import Summary
from transfer.pages.shown.looks import TONES, tone
from transfer.pages.tables import DrawnColumn, Table, classed
from transfer.problems.problem import Problem
from transfer.text import formats


class ServerLine(NamedTuple):
    """A bonus server, its registers by their state there, and what is wrong with it."""

    server: BonusServer
    states: Summary
    outage: Problem | None
    is_left: bool  # it is left behind

    @property
    def state(self) -> str:
        """Its state; not available, if one of its three doors fails."""
        params = self.outage.params if self.outage else {}
        fails = params and params["doors"] and not params["answered"]
        return BonusServer.State.FAILING if fails else str(self.server.state)

    @property
    def badness(self) -> tuple[int, int, int]:
        """Lower for a worse one: by its state, by its problem, by its registers' states."""
        urgent = sum(
            count for state, _label, count in self.states if tone(state, "account") == "bad"
        )
        problem = tone(self.outage.severity, "problem") if self.outage else "ok"
        return TONES.index(tone(self.state, "server")), TONES.index(problem), -urgent

    @property
    def cause(self) -> str:
        """The most important fault: what transfers need comes first."""
        if self.outage is None:
            return ""
        if self.outage.params["answered"] or not self.outage.causes:
            return formats.sentence(self.outage.sentence)
        worst = self.outage.causes[0]
        words = formats.sentence(worst.sentence)
        if worst.since is None:
            return words
        since = _("Since %(since)s.") % {"since": formats.bound(worst.since, zone=True)}
        return f"{words} {since}"


def lines(
    counted: Iterable[tuple[BonusServer, Summary]],
    wrong: Mapping[int, Problem],
    left: Collection[int] = (),
) -> list[ServerLine]:
    """The servers of `registers.counts.with_states`, each with its outage, if there is one.

    `left` are the keys of servers that are left behind.
    """
    return [
        ServerLine(server, states, wrong.get(server.pk), server.pk in left)
        for server, states in counted
    ]


class ServerTable(Table):
    """All bonus servers, the worst first."""

    caption = gettext_lazy("Bonus servers")

    name = DrawnColumn(gettext_lazy("Bonus server"), attrs=classed("cell-name"))
    state = DrawnColumn(gettext_lazy("State"), attrs=classed("unlabelled"))
    registers = DrawnColumn(
        gettext_lazy("Registers"), attrs=classed("cell-counts unlabelled lower")
    )
    tasks = DrawnColumn(gettext_lazy("Tasks on"), attrs=classed("num lower"))
    checked = DrawnColumn(gettext_lazy("Checked"), attrs=classed("nowrap lower"))

    class Meta(Table.Meta):
        attrs = {"class": "table cards servers dense small"}
        orderable = False

    def __init__(self, lines: Iterable[ServerLine], **options: Any) -> None:
        super().__init__(sorted(lines, key=lambda line: line.badness), **options)

    def draw_name(self, line: ServerLine) -> Any:
        return link(line.server.get_absolute_url(), line.server.name)

    def draw_state(self, line: ServerLine) -> Any:
        state = state_badge("server", line.state)
        if line.is_left:
            state = joined([state, state_badge("server", "left_behind")], " ")
        return with_note(state, line.cause)

    def draw_registers(self, line: ServerLine) -> Html:
        address = reverse("registers", query={"server": line.server.pk})
        return counts(line.states, f"{address}&")

    def draw_tasks(self, line: ServerLine) -> str:
        server: Any = line.server
        return _("%(n)s of %(all)s") % {"n": server.enabled_tasks, "all": server.all_tasks}

    def draw_checked(self, line: ServerLine) -> Any:
        return ago(line.server.checked_at) if line.server.checked_at else muted(formats.NOTHING)
