"""The scheduler's tables: of transfer tasks, and of maintenance tasks."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import django_tables2 as tables  # type: ignore[import-untyped]
from django.core.paginator import Page
from django.http import HttpRequest
from django.utils.translation import gettext as _, gettext_lazy, pgettext_lazy
from django_tables2.rows import BoundRows  # type: ignore[import-untyped]

from transfer.access import Role, has_role
from transfer.pages.components import tasks
from transfer.pages.html import EMPTY, Html, link, titled, unseen_lazy
from transfer.pages.parts import folds
from transfer.pages.shown.task_groups import ServerGroup
from transfer.pages.shown.task_status import TaskStatus
from transfer.pages.tables import (
    ChooseColumn,
    DrawnColumn,
    DurationColumn,
    MomentColumn,
    NumberColumn,
    StateColumn,
    Table,
    classed,
)


def cell(name: str, heading: Any, **options: Any) -> DrawnColumn:
    """A column whose cells are drawn by the table."""
    return DrawnColumn(heading, attrs=classed(f"cell-{name}"), **options)


def choose_task(form: str) -> ChooseColumn:
    """A box for each task, which sends the version that the page shows."""
    return ChooseColumn(
        "task",
        lambda row: _("Choose %(task)s") % {"task": row.name},
        lambda row: f"{row.key}:{row.task.version}",
        form,
    )


BOXES = choose_task("bulk")
NAME = ("kind_order", "server_name")


class TaskTable(Table):
    """A table of `TaskStatus`. What it is ordered by is in `status.sortable`, too."""

    caption = gettext_lazy("Transfer tasks")
    may_change = False

    choose = BOXES
    switch = cell("switch", unseen_lazy(gettext_lazy("Switch")), orderable=False)
    task = cell("task", gettext_lazy("Task"), order_by=("kind_order", "server_name"))
    server = cell("server", gettext_lazy("Bonus server"), order_by=("server_id", "kind_order"))
    waits = cell("waits", pgettext_lazy("rows", "Waiting"), order_by=("backlog__rows", "name"))
    schedule = cell("schedule", gettext_lazy("Schedule"), order_by=("schedule", *NAME))
    next = cell("next", gettext_lazy("Next run"), order_by=("upcoming", *NAME))
    runs = cell("runs", gettext_lazy("Last runs"), order_by=("last_run__finished_at",))
    more = cell("more", unseen_lazy(gettext_lazy("Actions")), orderable=False)

    class Meta(Table.Meta):
        attrs = {"class": "table cards tasks small"}
        order_by: tuple[str, ...] = ("server", "task")
        row_attrs = {"id": lambda record: record.key}

    draw_task = staticmethod(tasks.task_link)
    draw_waits = staticmethod(tasks.waits)
    draw_next = staticmethod(tasks.next_run)
    draw_runs = staticmethod(tasks.recent_runs)

    def before_render(self, request: HttpRequest) -> None:
        self.may_change = has_role(request.user, Role.OPERATOR)

    def draw_switch(self, row: TaskStatus) -> Html:
        return tasks.task_switch(self.context, row, self.may_change)

    def draw_server(self, row: TaskStatus) -> Html:
        return titled(row.task.server.name, row.task.server.name)

    def draw_schedule(self, row: TaskStatus) -> Html:
        return tasks.schedule(row, self.context["here"], self.may_change)

    def draw_more(self, row: TaskStatus) -> Html:
        return tasks.row_actions(self.context, row, self.may_change)


class Fold(NamedTuple):
    """The group of a server on the page, with its lines if it is open."""

    group: ServerGroup
    is_open: bool
    lines: Html | None
    boxes: Html  # of a folded group, so that "choose all" means its tasks, too
    url: str  # of the page with this group open


class GroupedTaskTable(TaskTable):
    """The tasks of many servers: a group for each, with a line for each task if it is open."""

    page_sizes = (50, 100, 250)  # servers

    class Meta(TaskTable.Meta):
        attrs = {"class": "table cards tasks grouped small"}
        exclude = ("server",)
        orderable = False
        order_by = ()
        template_name = "scheduler/groups.html"

    def __init__(self, groups: Page[ServerGroup], opened: set[int], request: HttpRequest) -> None:
        """`opened`: the keys of servers whose groups are open, beside those with a problem."""
        super().__init__([row for group in groups for row in group.rows])
        self.page, self.paginator = groups, groups.paginator
        self.opened, self.request = opened, request

    @property
    def paginated_rows(self) -> BoundRows:
        return self.rows

    @cached_property
    def rows_of_open(self) -> list[TaskStatus]:
        return [row for group in self.page if self._is_open(group) for row in group.rows]

    @property
    def folded(self) -> int:
        """How many groups are folded."""
        return sum(not self._is_open(group) for group in self.page)

    @property
    def folds(self) -> Iterator[Fold]:
        for group in self.page:
            is_open = self._is_open(group)
            lines = self.body_of(BoundRows(group.rows, self)) if is_open else None
            boxes = EMPTY if is_open or not self.may_change else BOXES.draw_unseen(group.rows)
            url = folds.url_of(self.request, self.opened | {group.server.pk})
            yield Fold(group, is_open, lines, boxes, url)

    def _is_open(self, group: ServerGroup) -> bool:
        return group.is_wrong or group.server.pk in self.opened


class MaintenanceTable(TaskTable):
    caption = gettext_lazy("Maintenance tasks")
    choose = choose_task("bulk-maintenance")

    class Meta(TaskTable.Meta):
        exclude = ("server", "waits")


class StateLinkColumn(StateColumn):
    """The badge leads to the run."""

    def draw(self, record: Any) -> Html:
        return link(record.get_absolute_url(), super().draw(record))


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
