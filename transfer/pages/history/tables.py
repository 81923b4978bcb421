"""The history's tables: of transfers, and of maintenance."""

from html import escape
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models.run_base import GOOD_STATES, State, Trigger
from transfer.pages import drawing
from transfer.pages.tables import (
    DrawnColumn,
    DurationColumn,
    NumberColumn,
    StateColumn,
    Table,
    ValueColumn,
    classed,
    unseen,
)
from transfer.text import formats
from transfer.text.explain import started_by
from transfer.text.reports import run_report

NONE = mark_safe('<span class="none muted">0</span>')
POLL_SECONDS = 3  # how often the row of an open run is asked for again


def of_open(value: Any) -> Any:
    """An attribute that only the row of an open run has."""
    return lambda record: (value(record) if callable(value) else value) if record.is_open else None


ROW = {
    "id": lambda record: f"run-{record.pk}",
    "data-poll": of_open(POLL_SECONDS),
    "hx-get": of_open(lambda record: f"{record.get_absolute_url()}row/"),
    "hx-trigger": of_open("poll"),
    "hx-select": of_open(lambda record: f"#run-{record.pk}"),
    "hx-swap": of_open("outerHTML"),
}


class DescribedState(StateColumn):
    """The badge, without its word where all went well; while the run goes on, how far it is."""

    def draw(self, record: Any) -> SafeString:
        if record.state in GOOD_STATES:
            return drawing.state_icon(record.state)
        badge = super().draw(record)
        if record.state != State.RUNNING or not getattr(record, "expected", 0):
            return badge
        bar = drawing.progress(record.read, record.expected)
        return format_html('<div class="cell-progress">{}{}</div>', badge, bar)


class WhenColumn(DrawnColumn):
    """When the run was queued, and by whom, unless the schedule did; the heading names the zone."""

    attrs = {"td": {"class": "when"}}

    @property
    def header(self) -> str:
        return _("When, %(zone)s") % {"zone": formats.zone_name()}

    def draw(self, record: Any) -> SafeString:
        moment = drawing.moment(record.queued_at, "seconds")
        if record.trigger == Trigger.SCHEDULE:
            return mark_safe(f"<span>{moment}</span>")  # noqa: S308 - safe
        note = '<span>{} <span class="muted small">{}</span></span>'
        return format_html(note, moment, started_by(record))


class WhatColumn(DrawnColumn):
    """What ran, with the link that the whole row is; under it, why it did not do what it should.

    The link has an id, so that it keeps the focus when its row refreshes itself.
    """

    attrs = {"td": {"class": "what"}}

    def draw(self, record: Any) -> SafeString:
        kind, arrow, server = escape(record.title).partition("→")
        link = mark_safe(  # noqa: S308 - escaped
            f'<a class="whole-row" id="to-run-{record.pk}" href="{record.get_absolute_url()}">'
            f'<span class="kind">{kind}</span>{arrow and f"<span>{arrow}{server}</span>"}</a>'
        )
        if not (cause := record.explained):
            return link
        tone = "warn" if record.state == State.SKIPPED else "bad"
        note = '<div>{}<div class="cell-note clamped {}">{}</div></div>'
        return format_html(note, link, tone, cause.sentence)


class RunTable(Table):
    """What both tables have. There is no other order than that of time: each needs an index."""

    state = DescribedState(unseen(gettext_lazy("State")), orderable=False, attrs=classed("state"))
    kind = WhatColumn(orderable=False)
    queued_at = WhenColumn(order_by=("queued_at", "pk"))
    seconds = DurationColumn(gettext_lazy("Took"), orderable=False, attrs=classed("num took"))
    id = ValueColumn(gettext_lazy("№"), orderable=False, attrs=classed("num number"))

    class Meta(Table.Meta):
        attrs = {"class": "table cards runs dense unlabelled"}
        order_by = "-queued_at"
        row_attrs = ROW


class CountColumn(NumberColumn):
    """Rows; none of them is less than a number."""

    def __init__(self, heading: Any, name: str) -> None:
        super().__init__(heading, orderable=False, attrs=classed(f"num {name}"))

    def render(self, value: int) -> Any:
        return formats.number(value) if value else NONE


class TransferRunTable(RunTable):
    """With counts of rows, which have thin spaces and stand under each other."""

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
