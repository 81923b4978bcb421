"""The table of rejected rows."""

from functools import cached_property
from html import escape
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.utils.functional import lazy
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _, gettext_lazy

from transfer.engine.checks import UNKNOWN
from transfer.engine.kinds import CHECKS
from transfer.loading.faults import columns_of
from transfer.loading.values import as_people_write
from transfer.models import BonusServer, RejectedRow, Settings
from transfer.models.addresses import numbered
from transfer.models.rejects import ROW
from transfer.models.tasks import KindChoices
from transfer.pages import drawing
from transfer.pages.tables import ChooseColumn, DrawnColumn, Table, classed
from transfer.text import formats
from transfer.text.columns import heading
from transfer.text.explain import explain_reject

TONES = {"open": ("warn", "warning"), "resent": ("ok", "check"), "discarded": ("idle", "ban")}
row_of = attrgetter(*ROW)  # what names the staged row


@drawing.once
def state_badge(state: str) -> SafeString:
    return drawing.badge(TONES[state][0], RejectedRow.State(state).label, TONES[state][1])


@drawing.once
def reason_of(code: str) -> SafeString:
    reason = explain_reject(code)
    return format_html('<span title="{}">{}</span>', reason.hint, reason.sentence)


def written(reject: RejectedRow, zone: ZoneInfo) -> dict[str, str]:
    """The row as it came: name and text of each column, in the table's order; none if unknown."""
    if not reject.payload:
        return {}
    return {
        name: as_people_write(name, reject.payload.get(name), zone)
        for name in reject.kind_spec.names
    }


class RejectTable(Table):
    """A line for each staged row: what was wrong with it comes first, the rest in tooltips."""

    caption = gettext_lazy("Rejected rows")

    choose = ChooseColumn(
        "id",
        lambda one: _("Choose row %(number)s") % {"number": one.staging_id},
        lambda one: one.pk if one.is_open else None,
    )
    staging_id = DrawnColumn(gettext_lazy("Row"), attrs={"td": {"class": "num"}})
    payload = DrawnColumn(gettext_lazy("As received"))
    code = DrawnColumn(gettext_lazy("Reason"), attrs={"td": {"class": "reason"}})
    server_name = DrawnColumn(gettext_lazy("Bonus servers"), attrs={"td": {"class": "server"}})
    created_at = DrawnColumn(
        lazy(lambda: _("Rejected, %(zone)s") % {"zone": formats.zone_name()}, str)(),
        order_by=("created_at", "pk"),
        attrs=classed("created"),
        orderable=True,
    )
    state = DrawnColumn(gettext_lazy("State"), attrs={"td": {"class": "state whole"}})

    class Meta(Table.Meta):
        attrs = {"class": "table cards rejects dense unlabelled"}
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
        rejecting = {one.server_name for of_row in self.of_row.values() for one in of_row}
        docked = BonusServer.objects.values_list("name", flat=True)
        self.short_names = formats.told_apart(rejecting.union(docked))
        if len(self.short_names) == 1:
            self.columns.hide("server_name")
        query = request.GET.copy()
        for name in ("page", "sort", "per_page"):
            query.pop(name, None)
        self.query = f"?{query.urlencode()}" if query else ""
        self.is_of_one_state = request.GET.get("state") != "all"

    def draw_staging_id(self, record: RejectedRow) -> SafeString:
        """The row's page, which knows the list that one comes from."""
        where = record.get_absolute_url() + self.query
        return format_html('<a href="{}">{}</a>', where, record.staging_id)

    def draw_payload(self, record: RejectedRow) -> SafeString:
        """What the failed check has looked at, then what names the row; all of it in a tooltip."""
        texts, kind = written(record, self.zone), record.kind_spec
        if not texts:
            return format_html('<span class="muted">{}</span>', _("unknown"))
        wrong = columns_of(kind, CHECKS.get(record.code, UNKNOWN))
        named = [name for group in kind.needed for name in group]
        shown = " ".join(
            f'<span><span class="muted tiny">{escape(heading(name))}</span> '
            f'<code class="{"wrong" * (name in wrong)}">{escape(texts[name])}</code></span>'
            for name in dict.fromkeys([*wrong, *named])
            if texts[name]
        )
        full = "; ".join(f"{heading(name)} {text}" for name, text in texts.items() if text)
        title = escape(f"{KindChoices(record.kind).label}: {full}")
        drawn = f'<div class="payload clamped" title="{title}">{shown}</div>'
        return mark_safe(drawn)  # noqa: S308 - escaped

    def draw_code(self, record: RejectedRow) -> SafeString:
        return reason_of(record.code)

    def draw_server_name(self, record: RejectedRow) -> SafeString:
        """Lists each server that has rejected the row, as a link to the run in which it did."""
        drawn = ((self._server(one),) for one in self.of_row[row_of(record)])
        return format_html('<div class="row">{}</div>', format_html_join("", "{}", drawn))

    def _server(self, one: RejectedRow) -> SafeString:
        short = self.short_names[one.server_name]
        if one.run_id is None:
            words = '<span class="badge badge-idle" title="{}">{}</span>'
            return format_html(words, one.server_name, short)
        run = _("run %(number)s") % {"number": one.run_id}
        link = '<a class="badge badge-idle" href="{}" title="{name}" aria-label="{name}">{}</a>'
        name = f"{one.server_name}, {run}"
        return format_html(link, numbered("run", one.run_id), short, name=name)

    def draw_created_at(self, record: RejectedRow) -> SafeString | str:
        return drawing.clock(record.created_at)

    def draw_state(self, record: RejectedRow) -> SafeString:
        note = record.closed_by or record.close_reason
        if record.resent_id is not None:
            note = _("as row %(number)s") % {"number": record.resent_id}
        state = "" if self.is_of_one_state else state_badge(record.state)
        words = '<div class="row">{}<span class="muted small">{}</span></div>'
        return format_html(words, state, note) if note else state_badge(record.state)
