"""The scheduler's tables: of transfer tasks, and of maintenance tasks."""

from typing import Any

import django_tables2 as tables  # type: ignore[import-untyped]
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _, gettext_lazy, pgettext_lazy

from transfer.access import Role, has_role
from transfer.pages.drawing import switch, switch_badge
from transfer.pages.scheduler import drawing
from transfer.pages.scheduler.status import TaskStatus
from transfer.pages.scheduler.strip import run_strip
from transfer.pages.tables import (
    ChooseColumn,
    DrawnColumn,
    DurationColumn,
    MomentColumn,
    NumberColumn,
    StateColumn,
    Table,
    classed,
    unseen,
)


def cell(name: str, heading: Any, **options: Any) -> DrawnColumn:
    """A column whose cells are drawn by the table."""
    return DrawnColumn(heading, attrs=classed(f"cell-{name}"), **options)


class TaskTable(Table):
    """A table of `TaskStatus`."""

    caption = gettext_lazy("Transfer tasks")
    may_change = False

    choose = ChooseColumn(
        "task",
        lambda row: _("Choose %(task)s") % {"task": row.name},
        lambda row: f"{row.key}:{row.task.version}",
    )
    switch = cell("switch", unseen(gettext_lazy("Switch")), orderable=False)
    task = cell("task", gettext_lazy("Task"), order_by=("kind_order", "name"))
    server = cell(
        "server", gettext_lazy("Bonus server"), order_by=("task__server_id", "kind_order")
    )
    waits = cell("waits", pgettext_lazy("rows", "Waiting"), order_by=("backlog__rows", "name"))
    schedule = cell("schedule", gettext_lazy("Schedule"), order_by=("task__schedule", "name"))
    next = cell("next", gettext_lazy("Next run"), order_by=("task__upcoming_at", "name"))
    runs = cell("runs", gettext_lazy("Last runs"), order_by=("last_run__finished_at",))
    more = cell("more", unseen(gettext_lazy("Actions")), orderable=False)

    class Meta(Table.Meta):
        attrs = {"class": "table cards tasks small"}
        order_by = ("server", "task")
        row_attrs = {"id": lambda record: record.key}

    draw_waits = staticmethod(drawing.waits)
    draw_next = staticmethod(drawing.next_run)

    def before_render(self, request: HttpRequest) -> None:
        self.may_change = has_role(request.user, Role.OPERATOR)

    def draw_switch(self, row: TaskStatus) -> SafeString:
        if not self.may_change:
            return switch_badge(row.task)
        return switch(
            self.context, reverse("task_switch", args=[row.key]), row.name, row.task.enabled,
            id=f"switch-{row.key}", bare=True, seen=row.task.version, next=self.context["here"],
        )  # fmt: skip

    def draw_task(self, row: TaskStatus) -> SafeString:
        link = '<a class="strong" href="{}" id="to-{}" title="{}">{}</a>'
        return format_html(link, row.url, row.key, row.name, row.task.get_kind_display())

    def draw_server(self, row: TaskStatus) -> SafeString:
        name = row.task.server.name
        return format_html('<span title="{}">{}</span>', name, name)

    def draw_schedule(self, row: TaskStatus) -> SafeString:
        return drawing.schedule(row, self.context["here"], self.may_change)

    def draw_runs(self, row: TaskStatus) -> SafeString:
        if recent := row.task.recent_runs:
            return run_strip(*recent)
        return format_html('<span class="muted">{}</span>', _("has never run"))

    def draw_more(self, row: TaskStatus) -> SafeString:
        actions = SafeString()
        if self.may_change:
            actions = drawing.actions(self.context, row, self.context["here"], dense=True)
        about = drawing.about(row, self.may_change)
        return format_html('<div class="row-actions">{}\n{}</div>', actions, about)


class MaintenanceTable(TaskTable):
    caption = gettext_lazy("Maintenance tasks")

    class Meta(TaskTable.Meta):
        exclude = ("server", "waits")


class StateLinkColumn(StateColumn):
    """The badge leads to the run."""

    def draw(self, record: Any) -> SafeString:
        badge = super().draw(record)
        return format_html('<a href="{}">{}</a>', record.get_absolute_url(), badge)


class LastRunTable(Table):
    """The last runs of one task."""

    caption = gettext_lazy("Last runs")

    state = StateLinkColumn(gettext_lazy("State"))
    queued_at = MomentColumn(gettext_lazy("When"), attrs=classed("unlabelled"))
    trigger = tables.Column(gettext_lazy("Started by"), attrs=classed("unlabelled lower"))
    seconds = DurationColumn(gettext_lazy("Took"), attrs=classed("num unlabelled"))
    read = NumberColumn(gettext_lazy("Read"), attrs=classed("num lower"))
    rejected = NumberColumn(gettext_lazy("Rejected"), attrs=classed("num lower"))

    class Meta(Table.Meta):
        orderable = False

    def render_trigger(self, record: Any) -> str:
        dry = _("dry run") if getattr(record, "dry_run", False) else ""
        return ", ".join(filter(None, [record.get_trigger_display(), str(record.actor or ""), dry]))


class LastMaintenanceTable(LastRunTable):
    class Meta(LastRunTable.Meta):
        exclude = ("read", "rejected")
