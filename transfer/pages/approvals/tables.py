"""Tables of loads that need a second person, and of the accounts of one."""

from typing import Any

from django.utils.translation import gettext_lazy

from transfer.models import Approval
from transfer.models.tasks import KindChoices
from transfer.pages.components.states import state_badge
from transfer.pages.html import Html, link, with_note
from transfer.pages.tables import (
    AmountColumn,
    DrawnColumn,
    MomentColumn,
    NumberColumn,
    Table,
    TemplateColumn,
    WholeTable,
    classed,
)
from transfer.text import formats


class ApprovalTable(Table):
    """Those that wait first, then the latest."""

    caption = gettext_lazy("Loads that need a second person")
    asked_at = MomentColumn(
        gettext_lazy("When"), orderable=False, attrs=classed("unlabelled lower")
    )
    load = DrawnColumn(
        gettext_lazy("What, by whom"), orderable=False, attrs=classed("break unlabelled")
    )
    state = DrawnColumn(gettext_lazy("State"), orderable=False, attrs=classed("unlabelled"))
    rows = NumberColumn(gettext_lazy("Rows"), orderable=False, accessor="rows")
    total = DrawnColumn(gettext_lazy("Up and down"), orderable=False, attrs=classed("num"))
    decided = DrawnColumn(gettext_lazy("Decided"), orderable=False)

    class Meta(Table.Meta):
        model = Approval
        attrs = {"class": "table cards approvals"}
        fields = ("asked_at", "load", "state", "rows", "total", "decided")

    def draw_load(self, record: Approval) -> Html:
        upload = record.upload
        way = upload.get_input_method_display()
        facts = " · ".join(map(str, (KindChoices(upload.kind).label, way, record.asked_by)))
        return with_note(link(record.get_absolute_url(), str(upload)), facts)

    def draw_state(self, record: Approval) -> Html:
        return state_badge("approval", record.state)

    def draw_total(self, record: Approval) -> str:
        has_amounts = record.upload.kind_spec.appends
        return formats.amount(record.total, signed=False) if has_amounts else formats.NOTHING

    def draw_decided(self, record: Approval) -> Any:
        return with_note(record.decided_by, record.reason) if record.decided_by else formats.NOTHING


class AccountTable(WholeTable):
    """What a load that waits does to each account or card."""

    caption = gettext_lazy("What it does")
    number = TemplateColumn("approvals/cells/account.html", gettext_lazy("Account or card"))
    rows = NumberColumn(gettext_lazy("Rows"), accessor="rows")
    amount = AmountColumn(gettext_lazy("Sum"))
    balances = TemplateColumn(
        "approvals/cells/balances.html", gettext_lazy("Balance now, and afterwards")
    )
