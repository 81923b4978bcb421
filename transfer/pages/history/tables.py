"""The history's tables: of transfers, and of maintenance."""

from typing import Any

import django_tables2 as tables  # type: ignore[import-untyped]
from django.db.models import F, QuerySet
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models.run_base import Run, State
from transfer.pages import drawing
from transfer.pages.tables import (
    DurationColumn,
    MomentColumn,
    NumberColumn,
    StateColumn,
    Table,
    with_note,
)
from transfer.words import formats
from transfer.words.explain import started_by
from transfer.words.reports import run_report

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
    """The badge; under it, while the run goes on, how far it is."""

    def render(self, record: Any, bound_column: Any) -> str:
        badge = super().render(record, bound_column)
        if record.state != State.RUNNING or not getattr(record, "expected", 0):
            return badge
        bar = drawing.progress_bar(record.read, record.expected)
        return format_html('<div class="cell-progress">{}{}</div>', badge, bar)


class WhenColumn(MomentColumn):
    """When the run was queued; under it, by whom."""

    def render(self, record: Any) -> str:
        return with_note(drawing.moment(record.queued_at), started_by(record))


class RunTable(Table):
    """What both tables have. Sorted by something else, the newest comes first among equals."""

    # The link has an id, so that it keeps the focus when its row refreshes itself.
    id = tables.Column(
        gettext_lazy("№"),
        linkify=True,
        order_by=("pk",),
        attrs={"a": {"id": lambda record: f"to-run-{record.pk}"}, "td": {"class": "num"}},
    )
    state = DescribedState(gettext_lazy("State"), order_by=("state", "pk"))
    kind = tables.Column(order_by=("kind", "pk"))
    queued_at = WhenColumn(gettext_lazy("When"), order_by=("queued_at", "pk"))
    seconds = DurationColumn(gettext_lazy("Took"))

    class Meta(Table.Meta):
        attrs = {"class": "table cards runs dense"}
        order_by = "-id"
        row_attrs = ROW

    def order_seconds(self, runs: QuerySet[Any], is_descending: bool) -> tuple[QuerySet[Any], bool]:
        took = F("finished_at") - F("started_at")
        way = took.desc(nulls_last=True) if is_descending else took.asc(nulls_last=True)
        return runs.order_by(way, "-pk"), True

    def note_of(self, record: Any) -> str:
        """What stands under the name of what ran."""
        raise NotImplementedError

    def render_kind(self, record: Run) -> str:
        what = with_note(record.get_kind_display(), self.note_of(record))  # type: ignore[attr-defined]
        if not (cause := record.explained):
            return what
        tone = "warn" if record.state == State.SKIPPED else "bad"
        note = (what, tone, cause.sentence)
        return format_html('<div>{}<div class="cell-note {}">{}</div></div>', *note)


class TransferRunTable(RunTable):
    """With counts of rows, which have thin spaces and stand under each other."""

    caption = gettext_lazy("Runs of transfers")
    kind = tables.Column(gettext_lazy("Transfer"), order_by=("kind", "server_name", "pk"))
    read = NumberColumn(gettext_lazy("Read"), order_by=("read", "pk"))
    applied = NumberColumn(gettext_lazy("Applied"), order_by=("applied", "pk"))
    rejected = NumberColumn(gettext_lazy("Rejected"), order_by=("rejected", "pk"))

    class Meta(RunTable.Meta):
        sequence = ("id", "state", "kind", "queued_at", "seconds", "...")

    def render_applied(self, record: Any, value: int) -> str:
        """With those that were so already: read = applied + unchanged + rejected."""
        unchanged = _("%(unchanged)s unchanged") % {"unchanged": formats.number(record.unchanged)}
        return with_note(formats.number(value), unchanged if record.unchanged else "")

    def note_of(self, record: Any) -> str:
        return record.server_name

    def render_rejected(self, value: int) -> str:
        shown = formats.number(value)
        return format_html('<span class="warn">{}</span>', shown) if value else shown


class MaintenanceRunTable(RunTable):
    caption = gettext_lazy("Runs of maintenance")
    kind = tables.Column(gettext_lazy("Maintenance"), order_by=("kind", "pk"))
    report = tables.Column(gettext_lazy("What it did"), orderable=False, empty_values=())

    class Meta(RunTable.Meta):
        sequence = ("id", "state", "kind", "queued_at", "seconds", "report")

    def note_of(self, record: Any) -> str:
        return _("dry run") if record.dry_run else ""

    def render_report(self, record: Any) -> str:
        lines = ((line,) for line in run_report(record))
        return format_html_join("", "<div>{}</div>", lines) or formats.NOTHING
