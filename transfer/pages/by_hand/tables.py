"""The rows that people and keys have entered."""

from typing import Any

from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models import EnteredRow
from transfer.pages.components.times import moment
from transfer.pages.html import Html, link, with_note
from transfer.pages.tables import AmountColumn, DrawnColumn, Table, classed


class ByHandTable(Table):
    caption = gettext_lazy("Rows entered by people and keys, newest first")
    at = DrawnColumn(gettext_lazy("When"), orderable=False, attrs=classed("when"))
    who = DrawnColumn(gettext_lazy("Who, how"), orderable=False, attrs=classed("break"))
    account = DrawnColumn(gettext_lazy("Account"), orderable=False)
    amount = AmountColumn(gettext_lazy("Amount"), orderable=False)

    class Meta(Table.Meta):
        model = EnteredRow
        attrs = {"class": "table cards by-hand"}
        fields = ("at", "who", "account", "amount")

    def draw_at(self, record: EnteredRow) -> Any:
        return moment(record.entry.at)

    def draw_who(self, record: EnteredRow) -> Any:
        entry = record.entry
        way: Any = entry.get_way_display()
        if entry.upload_id:
            way = link(reverse("upload", args=[entry.upload_id]), way)
        if not entry.approved_by:
            return with_note(entry.who, way)
        approved = _("approved by %(who)s") % {"who": entry.approved_by}
        return with_note(with_note(entry.who, way), approved)

    def draw_account(self, record: EnteredRow) -> Html:
        where = f"{reverse('trace')}?{urlencode({'q': record.account})}"
        return link(where, record.account)
