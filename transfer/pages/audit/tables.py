from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from transfer.models import AuditEntry
from transfer.pages.components.times import moment
from transfer.pages.html import Html, with_note
from transfer.pages.parts import audit_sentences, audit_words
from transfer.pages.tables import DrawnColumn, Table, classed


class AuditTable(Table):
    """Who did what, to what, and what it changed."""

    caption = gettext_lazy("Audit")

    at = DrawnColumn(gettext_lazy("When"), order_by=("id",), attrs=classed("when"))
    done = DrawnColumn(gettext_lazy("What was done"), orderable=False, attrs=classed("done"))

    class Meta(Table.Meta):
        attrs = {"class": "table cards audit"}
        order_by = "-at"

    def keyset_paged(self, request: HttpRequest) -> "AuditTable":
        super().keyset_paged(request)
        self.addresses = audit_sentences.addresses(self.page.records)
        return self

    def draw_at(self, record: AuditEntry) -> Any:
        return with_note(moment(record.at), audit_words.from_where(record))

    def draw_done(self, record: AuditEntry) -> Html:
        return audit_sentences.with_changes(record, self.addresses.get(record.pk))
