from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models import AuditEntry
from transfer.pages import drawing
from transfer.pages.audit import sentences
from transfer.pages.tables import DrawnColumn, Table, classed, with_note


class AuditTable(Table):
    """Who did what, to what, and what it changed."""

    caption = gettext_lazy("Audit")

    at = DrawnColumn(gettext_lazy("When"), order_by=("id",), attrs=classed("when"))
    done = DrawnColumn(gettext_lazy("What was done"), orderable=False, attrs=classed("done"))

    class Meta(Table.Meta):
        attrs = {"class": "table cards audit"}
        order_by = "-at"

    def leafed(self, request: HttpRequest) -> "AuditTable":
        super().leafed(request)
        self.addresses = sentences.addresses(row.record for row in self.paginated_rows)
        return self

    def draw_at(self, record: AuditEntry) -> str:
        return with_note(drawing.moment(record.at), record.address or _("command line"))

    def draw_done(self, record: AuditEntry) -> SafeString:
        return sentences.with_changes(record, self.addresses.get(record.pk))
