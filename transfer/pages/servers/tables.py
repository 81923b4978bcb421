"""What was moved to a bonus server, compared with what was staged."""

from typing import Any

from django.utils.translation import gettext_lazy

from transfer.pages.tables import (
    DrawnColumn,
    NumberColumn,
    Table,
    TemplateColumn,
)
from transfer.text import formats


class ReconciliationTable(Table):
    """A line for each transfer. A record has `task`, `result`, `cause`, `place`."""

    caption = gettext_lazy("Reconciliation")
    task = DrawnColumn(gettext_lazy("Transfer"))
    staged = NumberColumn(gettext_lazy("Rows staged"), accessor="result__logged__rows")
    applied = NumberColumn(gettext_lazy("Applied"), accessor="result__totals__applied")
    unchanged = NumberColumn(gettext_lazy("Unchanged"), accessor="result__totals__unchanged")
    rejected = NumberColumn(gettext_lazy("Rejected"), accessor="result__totals__rejected")
    amount = DrawnColumn(gettext_lazy("Sum applied"), attrs=NumberColumn.attrs)
    result = TemplateColumn("servers/cells/reconciled.html", gettext_lazy("Result"))

    class Meta(Table.Meta):
        attrs = {"class": "table cards"}
        orderable = False

    def draw_task(self, record: dict[str, Any]) -> str:
        return record["task"].get_kind_display()

    def draw_amount(self, record: dict[str, Any]) -> str:
        has_amount = record["result"] and record["task"].kind == "balances"
        return formats.amount(record["result"].totals.amount_applied if has_amount else None)
