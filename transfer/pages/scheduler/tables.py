"""The scheduler's tables: of transfer tasks, and of maintenance tasks."""

from typing import Any

import django_tables2 as tables  # type: ignore[import-untyped]
from django.utils.translation import gettext_lazy as _

from transfer.pages.tables import Table


def cell(name: str, heading: Any, **options: Any) -> tables.TemplateColumn:
    """A column whose cells are drawn by a template of templates/scheduler/cells/."""
    return tables.TemplateColumn(
        template_name=f"scheduler/cells/{name}.html",
        verbose_name=heading,
        attrs={"td": {"class": f"cell-{name}"}, "th": {"class": f"cell-{name}"}},
        **options,
    )


class TaskTable(Table):
    """Of `board.Row`s. Those who only look get neither the boxes nor the buttons."""

    caption = _("Transfer tasks")

    choose = cell("choose", _("Choose"), orderable=False)
    task = cell("task", _("Task"), order_by=("name",))
    switch = cell("switch", _("Switch"), order_by=("task__enabled", "name"))
    waits = cell("waits", _("Waiting rows"), order_by=("waiting", "name"))
    when = cell("when", _("Schedule"), order_by=("task__upcoming_at", "name"))
    last = cell("last", _("Last result"), order_by=("last_run__finished_at",))
    actions = cell("actions", _("Actions"), orderable=False)

    class Meta(Table.Meta):
        attrs = {"class": "table cards tasks"}
        row_attrs = {"id": lambda record: record.key}

    def for_viewers(self) -> "TaskTable":
        self.columns.hide("choose")
        self.columns.hide("actions")
        return self


class MaintenanceTable(TaskTable):
    caption = _("Maintenance tasks")

    class Meta(TaskTable.Meta):
        exclude = ("waits",)
