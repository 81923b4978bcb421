"""The scheduler's tables: of transfer tasks, and of maintenance tasks."""

from typing import Any

import django_tables2 as tables  # type: ignore[import-untyped]
from django.utils.html import format_html
from django.utils.translation import gettext, gettext_lazy as _

from transfer.pages.tables import (
    ChooseColumn,
    DurationColumn,
    MomentColumn,
    NumberColumn,
    StateColumn,
    Table,
)


def cell(name: str, heading: Any, **options: Any) -> tables.TemplateColumn:
    """A column whose cells are drawn by a template of templates/scheduler/cells/."""
    return tables.TemplateColumn(
        template_name=f"scheduler/cells/{name}.html",
        verbose_name=heading,
        attrs={"td": {"class": f"cell-{name}"}, "th": {"class": f"cell-{name}"}},
        **options,
    )


class TaskTable(Table):
    """Of `TaskStatus`."""

    caption = _("Transfer tasks")

    choose = ChooseColumn(
        "task",
        lambda row: gettext("Choose %(task)s") % {"task": row.name},
        lambda row: f"{row.key}:{row.task.version}",
    )
    task = cell("task", _("Task"), order_by=("name",))
    switch = cell("switch", _("Switch"), order_by=("task__enabled", "name"))
    waits = cell("waits", _("Waiting rows"), order_by=("backlog__rows", "name"))
    when = cell("when", _("Schedule"), order_by=("task__upcoming_at", "name"))
    last = cell("last", _("Last result"), order_by=("last_run__finished_at",))
    actions = cell("actions", _("Actions"), orderable=False)

    class Meta(Table.Meta):
        attrs = {"class": "table cards tasks"}
        row_attrs = {"id": lambda record: record.key}


class MaintenanceTable(TaskTable):
    caption = _("Maintenance tasks")

    class Meta(TaskTable.Meta):
        exclude = ("waits",)


class StateLinkColumn(StateColumn):
    """The badge leads to the run."""

    def render(self, record: Any, bound_column: Any) -> str:
        badge = super().render(record, bound_column)
        return format_html('<a href="{}">{}</a>', record.get_absolute_url(), badge)


class LastRunTable(Table):
    """The last runs of one task."""

    caption = _("Last runs")

    state = StateLinkColumn(_("State"))
    queued_at = MomentColumn(_("When"))
    trigger = tables.Column(_("Started by"))
    seconds = DurationColumn(_("Took"))
    read = NumberColumn(_("Read"))
    rejected = NumberColumn(_("Rejected"))

    class Meta(Table.Meta):
        orderable = False

    def render_trigger(self, record: Any) -> str:
        dry = gettext("dry run") if getattr(record, "dry_run", False) else ""
        return ", ".join(filter(None, [record.get_trigger_display(), str(record.actor or ""), dry]))


class LastMaintenanceTable(LastRunTable):
    class Meta(LastRunTable.Meta):
        exclude = ("read", "rejected")
