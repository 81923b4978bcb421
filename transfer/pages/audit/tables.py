from typing import Any

import django_tables2 as tables  # type: ignore[import-untyped]
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models import AuditEntry
from transfer.pages.audit import words
from transfer.pages.tables import MomentColumn, Table
from transfer.words import formats


class AuditTable(Table):
    """Who did what, to what, and what it changed."""

    caption = gettext_lazy("Audit")

    at = MomentColumn(gettext_lazy("When"), order_by=("id",))
    who = tables.Column(gettext_lazy("Who"), order_by=("who", "-id"))
    action = tables.Column(gettext_lazy("What"), order_by=("action", "-id"))
    subject = tables.Column(gettext_lazy("Of what"), orderable=False, empty_values=())
    change = tables.Column(gettext_lazy("Before → after"), orderable=False, empty_values=())

    class Meta(Table.Meta):
        order_by = "-at"

    def render_who(self, record: AuditEntry) -> str:
        address = record.address or _("command line")
        return format_html('<div>{}<div class="note">{}</div></div>', record.who, address)

    def render_action(self, record: AuditEntry) -> str:
        return str(record.get_action_display())

    def render_subject(self, record: AuditEntry) -> str:
        return words.subject(record)

    def render_change(self, record: AuditEntry) -> Any:
        changes = words.changes(record)
        if not changes and not record.reason:
            return formats.NOTHING
        return render_to_string("audit/change.html", {"entry": record, "changes": changes})
