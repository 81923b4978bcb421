"""Many bonus servers as a compact table, what is wrong first."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple

from django.utils.translation import gettext as _, gettext_lazy

from transfer.models import BonusServer
from transfer.pages import links
from transfer.pages.components.html import Html, joined, link, muted, with_note
from transfer.pages.components.registers import counts
from transfer.pages.components.states import TONES, state_badge, tone
from transfer.pages.components.times import ago
from transfer.pages.registers.counts import Summary
from transfer.pages.tables import DrawnColumn, Table, classed
from transfer.text import formats


class ServerLine(NamedTuple):
    """A bonus server, and its registers by their state there."""

    server: BonusServer
    states: Summary

    @property
    def badness(self) -> tuple[int, int]:
        """Lower for a worse one: first by the server's state, then by its registers' states."""
        urgent = sum(
            count for state, _label, count in self.states if tone(state, "account") == "bad"
        )
        return TONES.index(tone(self.server.state, "server")), -urgent


class ServerTable(Table):
    """All bonus servers, the worst first."""

    caption = gettext_lazy("Bonus servers")

    name = DrawnColumn(gettext_lazy("Bonus server"), attrs=classed("cell-name"))
    state = DrawnColumn(gettext_lazy("State"), attrs=classed("unlabelled"))
    registers = DrawnColumn(gettext_lazy("Registers"), attrs=classed("unlabelled lower"))
    tasks = DrawnColumn(gettext_lazy("Tasks on"), attrs=classed("num lower"))
    checked = DrawnColumn(gettext_lazy("Checked"), attrs=classed("nowrap lower"))

    class Meta(Table.Meta):
        attrs = {"class": "table cards servers dense small"}
        orderable = False

    def __init__(
        self, lines: Iterable[tuple[BonusServer, Summary]], left: Collection[int], **options: Any
    ) -> None:
        """`left` are the keys of servers that are left behind."""
        self.left = left
        worst_first = sorted((ServerLine(*line) for line in lines), key=lambda line: line.badness)
        super().__init__(worst_first, **options)

    def draw_name(self, line: ServerLine) -> Any:
        return link(line.server.get_absolute_url(), line.server.name)

    def draw_state(self, line: ServerLine) -> Any:
        state = state_badge("server", line.server.state)
        if line.server.pk in self.left:
            state = joined([state, state_badge("server", "left_behind")], " ")
        return with_note(state, " ".join(causes(line.server)))

    def draw_registers(self, line: ServerLine) -> Html:
        return counts(line.states, f"{links.registers(server=line.server.pk)}&")

    def draw_tasks(self, line: ServerLine) -> str:
        return _("%(n)s of 3") % {"n": line.server.enabled_tasks}  # type: ignore[attr-defined]

    def draw_checked(self, line: ServerLine) -> Any:
        return ago(line.server.checked_at) if line.server.checked_at else muted(formats.NOTHING)


def causes(server: BonusServer) -> Iterator[str]:
    """Why a server does not answer, and since when."""
    if server.explained:
        yield server.explained.sentence
    if server.failing_since:
        yield _("Since %(since)s.") % {"since": formats.moment(server.failing_since)}
