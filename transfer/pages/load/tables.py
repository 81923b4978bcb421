"""The loads there were, and the bad lines of one."""

from typing import Any

import django_tables2 as tables  # type: ignore[import-untyped]
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from transfer.loading.report import explain_line
from transfer.models import BadLine, Upload
from transfer.models.tasks import KindChoices
from transfer.pages import drawing
from transfer.pages.tables import (
    AmountColumn,
    DrawnColumn,
    MomentColumn,
    NumberColumn,
    Table,
    classed,
)
from transfer.text.columns import named

State = Upload.State
BADGES = {
    State.RECEIVED: ("info", "play"),
    State.COLUMNS: ("warn", "warning"),
    State.READY: ("warn", "clock"),
    State.CONFIRMED: ("info", "play"),
    State.LOADED: ("ok", "check"),
    State.REFUSED: ("bad", "cross"),
    State.FAILED: ("bad", "cross"),
    State.DISCARDED: ("idle", "ban"),
    State.EXPIRED: ("idle", "clock"),
}


@drawing.once
def state_badge(state: str) -> SafeString:
    return drawing.badge(BADGES[State(state)][0], State(state).label, BADGES[State(state)][1])


class UploadTable(Table):
    """The latest loads."""

    caption = gettext_lazy("Loads, the latest first")
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

    def draw_name(self, record: Upload) -> SafeString:
        return format_html(
            '<div><a href="{}">{}</a><div class="note">{}</div></div>',
            record.get_absolute_url(),
            record,
            f"{KindChoices(record.kind).label} · {record.created_by}",
        )

    def draw_state(self, record: Upload) -> SafeString:
        return state_badge(record.state)


class BadLineTable(Table):
    caption = gettext_lazy("Bad lines")
    line = NumberColumn(gettext_lazy("Line"))
    columns = tables.Column(gettext_lazy("Column"), empty_values=())
    value = tables.Column(gettext_lazy("What is there"), attrs={"td": {"class": "break"}})
    code = tables.Column(
        gettext_lazy("What is wrong, and what to do"),
        orderable=False,
        attrs=classed("unlabelled whole"),
    )

    class Meta(Table.Meta):
        model = BadLine
        fields = ("line", "columns", "value", "code")
        order_by = "line"

    def render_value(self, value: str, record: BadLine) -> SafeString | str:
        """What stands there; the number of a rejected row leads to it."""
        if record.code not in ("reject_closed", "reject_of_another"):
            return value
        where = f"{reverse('rejects')}?{urlencode({'q': value, 'state': 'all'})}"
        return format_html('<a href="{}">{}</a>', where, value)

    def render_columns(self, value: Any) -> str:
        return named(value) or "—"

    def render_code(self, value: str) -> SafeString:
        sentence, hint = explain_line(value)
        return format_html('<div>{}<div class="note">{}</div></div>', sentence, hint)
