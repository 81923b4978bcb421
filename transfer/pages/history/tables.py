"""The history's tables: of transfers, and of maintenance."""

from typing import Any, NamedTuple

from django.utils.translation import gettext as _, gettext_lazy

from transfer.pages.components import runs
from transfer.pages.components.times import clock
from transfer.pages.html import Html, joined, link, unseen_lazy
from transfer.pages.shown.time_grid import Line
from transfer.pages.tables import (
    DrawnColumn,
    DurationColumn,
    NumberColumn,
    Table,
    ValueColumn,
    WholeTable,
    classed,
)
from transfer.text import formats
from transfer.text.reports import run_report

POLL_SECONDS = 3  # how often the row of an open run is asked for again


def of_open(value: Any) -> Any:
    """An attribute of rows of open runs only."""
    return lambda record: (value(record) if callable(value) else value) if record.is_open else None


ROW = {
    "id": lambda record: f"run-{record.pk}",
    "data-poll": of_open(POLL_SECONDS),
    "hx-get": of_open(lambda record: f"{record.get_absolute_url()}row/"),
    "hx-trigger": of_open("poll"),
    "hx-select": of_open(lambda record: f"#run-{record.pk}"),
    "hx-swap": of_open("outerHTML"),
}


class WhenColumn(DrawnColumn):
    """When the run was queued; the heading names the zone."""

    attrs = {"td": {"class": "when"}}

    @property
    def header(self) -> str:
        return _("When, %(zone)s") % {"zone": formats.zone_name()}

    def draw(self, record: Any) -> Html:
        return runs.queued_at(record)


class WhatColumn(DrawnColumn):
    """What ran; the link covers the whole row."""

    attrs = {"td": {"class": "what"}}

    def draw(self, record: Any) -> Html:
        return runs.whole_row_link(record)


class RunTable(Table):
    """What both tables have. They are ordered by time only: each order needs an index."""

    state = DrawnColumn(unseen_lazy(gettext_lazy("State")), orderable=False, attrs=classed("state"))
    kind = WhatColumn(orderable=False)
    queued_at = WhenColumn(order_by=("queued_at", "pk"))
    seconds = DurationColumn(gettext_lazy("Took"), orderable=False, attrs=classed("num took"))
    id = ValueColumn(gettext_lazy("№"), orderable=False, attrs=classed("num number"))

    draw_state = staticmethod(runs.run_state)

    class Meta(Table.Meta):
        attrs = {"class": "table cards runs dense unlabelled"}
        order_by = "-queued_at"
        row_attrs = ROW


class CountColumn(NumberColumn):
    """A number of rows; zero is drawn paler."""

    def __init__(self, heading: Any, name: str) -> None:
        super().__init__(heading, orderable=False, attrs=classed(f"num {name}"))

    render = staticmethod(runs.rows)


class TransferRunTable(RunTable):
    """Runs of transfers, with their numbers of rows."""

    caption = gettext_lazy("Runs of transfers")
    kind = WhatColumn(verbose_name=gettext_lazy("Transfer"), orderable=False)
    applied = CountColumn(gettext_lazy("Applied"), "applied")
    unchanged = CountColumn(gettext_lazy("Unchanged"), "unchanged")
    rejected = CountColumn(gettext_lazy("Rejected"), "rejected")

    class Meta(RunTable.Meta):
        sequence = ("state", "kind", "queued_at", "seconds", "...", "id")


class MaintenanceRunTable(RunTable):
    caption = gettext_lazy("Runs of maintenance")
    kind = WhatColumn(verbose_name=gettext_lazy("Maintenance"), orderable=False)
    report = DrawnColumn(gettext_lazy("What it did"), orderable=False, attrs=classed("report"))

    class Meta(RunTable.Meta):
        sequence = ("state", "kind", "queued_at", "seconds", "report", "id")

    def draw_report(self, record: Any) -> str:
        return ". ".join(run_report(record))


class GridLine(NamedTuple):
    """A line of the grid of time, with the name of its server."""

    server: str
    line: Line


class GridTable(WholeTable):
    """The grid of time as a table: for screen readers, and for paper."""

    caption = gettext_lazy("Tasks and their failures")
    server = ValueColumn(gettext_lazy("Bonus server"))
    task = ValueColumn(gettext_lazy("Task"), accessor="line__title")
    runs = NumberColumn(gettext_lazy("Runs"), accessor="line__runs")
    failed = NumberColumn(gettext_lazy("Failed"), accessor="line__bad")
    rejects = NumberColumn(gettext_lazy("With rejects"), accessor="line__rejects")
    began = DrawnColumn(gettext_lazy("Failures began"))

    class Meta(Table.Meta):
        attrs = {"class": "table"}

    def draw_began(self, record: GridLine) -> Html:
        return joined((link(one.url, clock(one.at)) for one in record.line.failures), ", ")
