"""What was moved to a bonus server, compared with what was staged."""

from typing import Any

from django.utils.translation import gettext_lazy

from transfer.pages.tables import DrawnColumn, NumberColumn, TemplateColumn, WholeTable
from transfer.text import formats


class CountColumn(NumberColumn):
    """A number that was counted; empty before the first count."""

    @staticmethod
    def render(value: int | None) -> str:
        return "" if value is None else formats.number(value)


class ReconciliationTable(WholeTable):
    """A line for each transfer. A record has `task`, `result`, `cause`, `place`."""

    caption = gettext_lazy("Reconciliation")
    task = DrawnColumn(gettext_lazy("Transfer"))
    staged = CountColumn(gettext_lazy("Rows staged"), accessor="result__logged__rows")
    applied = CountColumn(gettext_lazy("Applied"), accessor="result__totals__applied")
    unchanged = CountColumn(gettext_lazy("Unchanged"), accessor="result__totals__unchanged")
    rejected = CountColumn(gettext_lazy("Rejected"), accessor="result__totals__rejected")
    amount = DrawnColumn(gettext_lazy("Sum applied"), attrs=NumberColumn.attrs)
    result = TemplateColumn("servers/cells/reconciled.html", gettext_lazy("Result"))

    def draw_task(self, record: dict[str, Any]) -> str:
        return record["task"].get_kind_display()

    def draw_amount(self, record: dict[str, Any]) -> str:
        if record["result"] is None:
            return ""
        has_amount = record["task"].kind_spec.appends
        return formats.amount(record["result"].totals.amount_applied if has_amount else None)
