"""The table of rejected rows."""

from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import django_tables2 as tables  # type: ignore[import-untyped]
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _, gettext_lazy

from transfer.loading.values import as_people_write
from transfer.models import RejectedRow, Settings
from transfer.pages import drawing
from transfer.pages.tables import ChooseColumn, MomentColumn, Table, classed, with_note
from transfer.words import formats
from transfer.words.columns import heading
from transfer.words.explain import explain_reject

TONES = {"open": ("warn", "warning"), "resent": ("ok", "check"), "discarded": ("idle", "ban")}


def row_of(reject: RejectedRow) -> tuple[Any, ...]:
    """What names the staged row."""
    return tuple(getattr(reject, name) for name in RejectedRow.ROW)


def state_of(reject: RejectedRow) -> SafeString:
    tone, icon = TONES[reject.state]
    return drawing.badge(tone, reject.get_state_display(), icon)


def cells(reject: RejectedRow, zone: ZoneInfo) -> list[tuple[str, str]]:
    """The row as it came: heading and text of each column, in the table's order."""
    shown = []
    for column in reject.moves.columns:
        text = as_people_write(column.name, reject.payload.get(column.name), zone)
        shown.append((heading(column.name), text or formats.NOTHING))
    return shown


class RejectTable(Table):
    caption = gettext_lazy("Rejected rows")

    choose = ChooseColumn(
        "id",
        lambda one: _("Choose row %(number)s") % {"number": one.staging_id},
        lambda one: one.pk if one.is_open else None,
    )
    staging_id = tables.Column(gettext_lazy("Row"), attrs={"td": {"class": "num"}})
    payload = tables.Column(gettext_lazy("As received"))
    code = tables.Column(gettext_lazy("Reason"), attrs={"td": {"class": "reason"}})
    server_name = tables.Column(gettext_lazy("Bonus servers"), attrs={"td": {"class": "server"}})
    created_at = MomentColumn(
        gettext_lazy("Rejected"),
        order_by=("created_at", "pk"),
        attrs=classed("created"),
        orderable=True,
    )
    state = tables.Column(gettext_lazy("State"))

    class Meta(Table.Meta):
        attrs = {"class": "table cards rejects dense"}
        order_by = "-created_at"
        orderable = False  # by anything that has no index; the filter finds the same

    @cached_property
    def zone(self) -> ZoneInfo:
        """The zone of the moments that rows hold."""
        return Settings.load().zone

    def before_render(self, request: HttpRequest) -> None:
        """Looks up who else has rejected the rows of the page."""
        shown = [row.record for row in self.paginated_rows]
        staged = {"origin__in": {one.origin for one in shown}}
        staged["staging_id__in"] = {one.staging_id for one in shown}
        self.of_row: dict[Any, list[RejectedRow]] = {}
        for one in RejectedRow.objects.filter(**staged).order_by("server_name"):
            self.of_row.setdefault(row_of(one), []).append(one)
        query = request.GET.copy()
        for name in ("page", "sort", "per_page"):
            query.pop(name, None)
        self.query = f"?{query.urlencode()}" if query else ""

    def render_staging_id(self, value: int, record: RejectedRow) -> SafeString:
        """The row's page, which knows the list that one comes from."""
        where = record.get_absolute_url() + self.query
        return format_html('<a href="{}">{}</a>', where, value)

    def render_payload(self, record: RejectedRow) -> SafeString:
        shown = [(name, text) for name, text in cells(record, self.zone) if text != formats.NOTHING]
        drawn = format_html_join(
            " ", '<span><span class="muted tiny">{}</span> <code>{}</code></span>', shown
        )
        return with_note(  # type: ignore[return-value]
            format_html('<div class="row payload">{}</div>', drawn), record.get_kind_display()
        )

    def render_code(self, value: str) -> str:
        return explain_reject(value).sentence

    def render_server_name(self, record: RejectedRow) -> SafeString:
        """Lists each server that has rejected the row, with the run in which it did."""
        lines = ((one.server_name, self._run(one)) for one in self.of_row[row_of(record)])
        drawn = format_html_join("", "<div>{} {}</div>", lines)
        return format_html('<div class="lean">{}</div>', drawn)

    @staticmethod
    def _run(one: RejectedRow) -> SafeString | str:
        if one.run_id is None:
            return ""
        words = _("run %(number)s") % {"number": one.run_id}
        return format_html(
            '<a class="small muted" href="{}">{}</a>', reverse("run", args=[one.run_id]), words
        )

    def render_state(self, record: RejectedRow) -> Any:
        note = record.closed_by
        if record.resent_id is not None:
            note = _("as row %(number)s") % {"number": record.resent_id}
        return with_note(state_of(record), note or record.close_reason)
