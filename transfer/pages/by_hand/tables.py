"""The rows that people and keys have entered."""

from typing import Any

from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models import EnteredRow, Upload
from transfer.pages.components.times import moment
from transfer.pages.html import Html, link, with_note
from transfer.pages.tables import (
    AmountColumn,
    DrawnColumn,
    NumberColumn,
    Table,
    WholeTable,
    classed,
)

WAYS = dict(Upload.InputMethod.choices)


class SumTable(WholeTable):
    """Sums of rows: by person, by account, or by both. A list leaves out what it is not by."""

    account = DrawnColumn(gettext_lazy("Account"), attrs={"td": {"class": "mono break"}})
    who = DrawnColumn(gettext_lazy("Who, how"), attrs=classed("break"))
    person = DrawnColumn(gettext_lazy("Who"), attrs=classed("break"))
    rows = NumberColumn(gettext_lazy("Rows"), accessor="rows")
    up = AmountColumn(gettext_lazy("Credited"))
    down = AmountColumn(gettext_lazy("Deducted"))

    def draw_account(self, record: dict[str, Any]) -> Html:
        return traced(record["account"])

    def draw_who(self, record: dict[str, Any]) -> Any:
        return with_note(record["entry__who"], WAYS.get(record["entry__way"], ""))

    def draw_person(self, record: dict[str, Any]) -> str:
        return record["entry__who"]


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
        return traced(record.account)


def traced(account: str) -> Html:
    """An account, as a link to what has happened to it."""
    return link(f"{reverse('trace')}?{urlencode({'q': account})}", account)
