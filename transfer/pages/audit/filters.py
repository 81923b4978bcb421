"""The filters of the audit."""

from typing import Any

import django_filters  # type: ignore[import-untyped]
from django.db.models import QuerySet
from django.forms import HiddenInput
from django.utils.translation import gettext as _, gettext_lazy

from transfer.engine.kind import MASK
from transfer.models import AuditEntry
from transfer.pages.filters import DayFilters
from transfer.text import formats

SUBJECTS = {
    "transfer": "transfertask",
    "maintenance": "maintenancetask",
    "user": "user",
    "recipient": "recipient",
}


def people() -> list[tuple[str, str]]:
    """All users who have done something; names that no user has are one choice."""
    names = AuditEntry.objects.people()
    return [*((name, name) for name in names), (MASK, _("unknown names"))]


class AuditFilter(DayFilters):
    moment = "at"
    q = django_filters.CharFilter(label=gettext_lazy("Search"), method="filter_text")
    who = django_filters.ChoiceFilter(
        label=gettext_lazy("Who"), choices=people, method="filter_who"
    )
    action = django_filters.ChoiceFilter(
        label=gettext_lazy("What"), choices=AuditEntry.Action.choices
    )
    # Set by links from the page of one thing, which the heading names: "transfer-12".
    about = django_filters.CharFilter(label="", widget=HiddenInput, method="filter_about")

    class Meta:
        model = AuditEntry
        fields = ["q", "who", "action", "since", "until"]

    def filter_text(self, entries: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return entries.search(value)  # type: ignore[attr-defined]

    def filter_who(self, entries: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return entries.filter(who__startswith=MASK) if value == MASK else entries.filter(who=value)

    def filter_about(self, entries: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        kind, _dash, number = value.partition("-")
        if kind not in SUBJECTS or (pk := formats.number_in(number)) is None:
            return entries.none()
        return entries.filter(subject_type=SUBJECTS[kind], subject_id=pk)
