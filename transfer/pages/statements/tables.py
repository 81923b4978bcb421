"""The table of kept statements."""

from typing import Any

from django.utils.translation import gettext as _, gettext_lazy

from transfer.models import Statement
from transfer.pages.html import Html, link, with_note
from transfer.pages.tables import DrawnColumn, MomentColumn, Table, classed
from transfer.text import formats


class StatementTable(Table):
    """The latest first."""

    caption = gettext_lazy("Statements")
    period = DrawnColumn(gettext_lazy("Period"), orderable=False, attrs=classed("unlabelled"))
    made_at = MomentColumn(gettext_lazy("Made"), orderable=False)
    digest = DrawnColumn(gettext_lazy("Digest"), orderable=False, attrs=classed("break"))

    class Meta(Table.Meta):
        model = Statement
        attrs = {"class": "table cards"}
        fields = ("period", "made_at", "digest")

    def draw_period(self, record: Statement) -> Html:
        first, last = formats.day_in_numbers(record.first), formats.day_in_numbers(record.last)
        words = _("%(first)s to %(last)s") % {"first": first, "last": last}
        number = _("No. %(n)s") % {"n": record.number}
        whose = record.server_name or _("all bonus servers")
        return with_note(link(record.get_absolute_url(), words), f"{number} · {whose}")

    def draw_digest(self, record: Statement) -> Any:
        return record.digest[:16]
