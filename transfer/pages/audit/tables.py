from typing import Any

import django_tables2 as tables  # type: ignore[import-untyped]
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models import AuditEntry
from transfer.pages import drawing
from transfer.pages.audit import sentences
from transfer.pages.tables import Table, classed, with_note


class AuditTable(Table):
    """Who did what, to what, and what it changed."""

    caption = gettext_lazy("Audit")

    at = tables.Column(gettext_lazy("When"), order_by=("id",), attrs=classed("when"))
    done = tables.Column(
        gettext_lazy("What was done"), orderable=False, empty_values=(), attrs=classed("done")
    )

    class Meta(Table.Meta):
        attrs = {"class": "table cards audit"}
        order_by = "-at"

    def leafed(self, request: HttpRequest) -> "AuditTable":
        super().leafed(request)
        self.addresses = sentences.addresses(row.record for row in self.paginated_rows)
        return self

    def render_at(self, record: AuditEntry) -> str:
        return with_note(drawing.moment(record.at), record.address or _("command line"))

    def render_done(self, record: AuditEntry) -> Any:
        context = {
            "sentence": sentences.drawn(record, self.addresses.get(record.pk)),
            "changes": sentences.details(record),
            "reason": record.reason,
        }
        return render_to_string("audit/done.html", context)
