"""The tables of rejected rows, and of rows that were changed after their transfer."""

from functools import cached_property
from operator import attrgetter
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.utils.functional import lazy
from django.utils.translation import gettext as _, gettext_lazy

from transfer.engine.kind import Kind
from transfer.loading.values import as_people_write
from transfer.models import BonusServer, RejectedRow, Settings
from transfer.models.rejects import ROW
from transfer.models.tasks import KindChoices
from transfer.pages.components.rows import payload, reason_of, reject_state, rejecting_servers
from transfer.pages.components.times import clock
from transfer.pages.html import Html, link
from transfer.pages.tables import (
    ChooseColumn,
    DrawnColumn,
    Table,
    TemplateColumn,
    ValueColumn,
    WholeTable,
    classed,
)
from transfer.text import formats
from transfer.text.columns import typed_amount

row_of = attrgetter(*ROW)  # the fields that identify the staged row


def written(reject: RejectedRow, zone: ZoneInfo) -> dict[str, str]:
    """The row as received: name and text of each column, in the table's order; {} if unknown."""
    if not reject.payload:
        return {}
    texts = {
        name: as_people_write(name, reject.payload.get(name), zone)
        for name in reject.kind_spec.names
    }
    if "amount" in texts:
        texts["amount"] = typed_amount(texts["amount"])
    return texts


class RejectTable(Table):
    """A line for each staged row: first what was wrong with it, the rest in tooltips."""

    caption = gettext_lazy("Rejected rows")

    choose = ChooseColumn(
        "id",
        lambda one: _("Choose row %(number)s") % {"number": one.row},
        lambda one: one.pk if one.is_open else None,
    )
    row = DrawnColumn(gettext_lazy("Row"), attrs={"td": {"class": "num"}})
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
        """The zone of times in rows."""
        return Settings.load().zone

    def before_render(self, request: HttpRequest) -> None:
        """Looks up the other servers that rejected the rows of the page."""
        shown = [row.record for row in self.paginated_rows]
        staged = {"changeset__in": {one.changeset for one in shown}}
        staged["row__in"] = {one.row for one in shown}
        self.of_row: dict[Any, list[RejectedRow]] = {}
        for one in RejectedRow.objects.filter(**staged).order_by("server_id", "server_name"):
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

    def draw_row(self, record: RejectedRow) -> Html:
        """Leads to the row's page, with the query of this list."""
        return link(record.get_absolute_url() + self.query, record.row)

    def draw_payload(self, record: RejectedRow) -> Html:
        texts, kind = written(record, self.zone), record.kind_spec
        wrong = kind.columns_of(record.code) if texts else ()
        named = [name for group in kind.needed for name in group]
        return payload(texts, wrong, named, str(KindChoices(record.kind).label))

    def draw_code(self, record: RejectedRow) -> Html:
        return reason_of(record.code)

    def draw_server_name(self, record: RejectedRow) -> Html:
        return rejecting_servers(self.of_row[row_of(record)], self.short_names)

    def draw_created_at(self, record: RejectedRow) -> Html | str:
        return clock(record.created_at)

    def draw_state(self, record: RejectedRow) -> Html:
        return reject_state(record, self.is_of_one_state)


class ChangedRow(NamedTuple):
    """A row that was changed after its transfer; `reason` says why it can't be sent again."""

    kind: Kind
    row: int
    key: str
    cells: list[tuple[str, str]]
    before: str
    reason: str
    is_blocked: bool


class ChangedTable(WholeTable):
    row = ValueColumn(gettext_lazy("Row"), attrs=classed("num"))
    cells = TemplateColumn("rejects/cells/changed_values.html", gettext_lazy("Values now"))
    before = ValueColumn(gettext_lazy("Amount before"), attrs=classed("num"))
    actions = TemplateColumn("rejects/cells/changed_actions.html", gettext_lazy("Actions"))
