"""Tables of loads, and of the bad lines of one."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import django_tables2 as tables  # type: ignore[import-untyped]
from django.urls import reverse
from django.utils.translation import gettext as _, gettext_lazy

from transfer.causes.catalogue import CATALOGUE
from transfer.loading.headings import REJECT
from transfer.models import BadLine, Upload
from transfer.pages.components.rows import bad_line, load_reached, upload_name
from transfer.pages.components.states import badge, state_badge
from transfer.pages.html import Html, link
from transfer.pages.tables import (
    AmountColumn,
    DrawnColumn,
    MomentColumn,
    NumberColumn,
    Table,
    ValueColumn,
    WholeTable,
    classed,
)
from transfer.text import formats
from transfer.text.columns import (
    MOMENT,
    amount_words,
    heading,
    named,
    typed_amount,
    with_local_moments,
)
from transfer.text.explain import explain
from transfer.trace.reached import Reached

STYLES = {"amount": "num", "comment": "break"}


class UploadTable(Table):
    """The latest loads."""

    caption = gettext_lazy("All loads, newest first")
    created_at = MomentColumn(gettext_lazy("When"), attrs=classed("unlabelled lower"))
    name = DrawnColumn(
        gettext_lazy("File, by whom"), attrs={"td": {"class": "file break unlabelled"}}
    )
    state = DrawnColumn(gettext_lazy("State"), attrs=classed("unlabelled"))
    good = NumberColumn(gettext_lazy("Good"), attrs=classed("num lower applied"))
    bad = NumberColumn(gettext_lazy("Bad"), attrs=classed("num lower rejected"))
    amount = AmountColumn(gettext_lazy("Sum"), attrs=classed("num unlabelled lower"))

    class Meta(Table.Meta):
        model = Upload
        attrs = {"class": "table cards uploads"}
        fields = ("created_at", "name", "state", "good", "bad", "amount")
        order_by = "-created_at"

    draw_name = staticmethod(upload_name)
    reached: Mapping[int, Reached] = MappingProxyType({})

    def draw_state(self, record: Upload) -> Html:
        reached = self.reached.get(record.pk)
        return load_reached(reached) if reached else state_badge("upload", record.state)


class BadLineTable(Table):
    caption = gettext_lazy("Bad lines")
    line = NumberColumn(gettext_lazy("Line"))
    columns = tables.Column(gettext_lazy("Column"), empty_values=())
    value = tables.Column(gettext_lazy("Value"), attrs={"td": {"class": "break"}})
    code = tables.Column(
        gettext_lazy("What is wrong, and what to do"),
        orderable=False,
        attrs=classed("unlabelled whole"),
    )

    class Meta(Table.Meta):
        model = BadLine
        fields = ("line", "columns", "value", "code")
        order_by = "line"

    def render_value(self, value: str, record: BadLine) -> Html | str:
        """The value; the number of a rejected row leads to the row."""
        if record.code not in ("reject_closed", "reject_of_another"):
            return typed_amount(value) if record.columns == "amount" else value
        return link(reverse("rejects", query={"q": value, "state": "all"}), value)

    def render_columns(self, value: Any) -> str:
        return named(value) or "—"

    def render_code(self, value: str) -> Html:
        return bad_line(explain(CATALOGUE[value]))


class SampleTable(WholeTable):
    """The first lines of a file, as they were understood, with the columns of its kind.

    A record has the line's number, the rejected row that it names, its cells by column, its fault.
    """

    caption = gettext_lazy("The first lines, as they were understood")
    line = NumberColumn(gettext_lazy("Line"))
    reject = ValueColumn(gettext_lazy("Rejected row no."))
    fault = DrawnColumn(gettext_lazy("Check"))

    class Meta(Table.Meta):
        attrs = {"class": "table cards"}
        sequence = ("line", "reject", "...", "fault")

    def draw_fault(self, record: dict[str, Any]) -> Html:
        return badge("bad", record["fault"]) if record["fault"] else badge("ok", _("good"))


def sample_table(upload: Upload, zone: ZoneInfo) -> SampleTable:
    """Return the first lines of the file, with their texts as people read them."""
    columns = upload.kind_spec.columns
    lines = [
        {
            "line": row["line"],
            "reject": row.get("reject") or formats.NOTHING,
            "fault": explain(CATALOGUE[row["fault"]]).sentence if row["fault"] else "",
            **{
                f"cell_{column.name}": cell_words(column.name, cell, zone)
                for column, cell in zip(columns, row["cells"], strict=True)
            },
        }
        for row in upload.report.get("sample", [])
    ]
    return SampleTable(
        lines,
        prefix="sample-",
        extra_columns=[
            (
                f"cell_{one.name}",
                ValueColumn(heading(one.name), attrs=classed(STYLES.get(one.name, ""))),
            )
            for one in columns
        ],
        exclude=() if REJECT in upload.layout.get("columns", {}) else ("reject",),
    )


def cell_words(column: str, cell: str, zone: ZoneInfo) -> str:
    """Return a value of a report as people read it; the text as received if it is none."""
    if column == "amount":
        return amount_words(cell)
    return with_local_moments(cell, zone) if MOMENT.fullmatch(cell) else cell
