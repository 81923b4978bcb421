"""What entries of the audit are filtered by."""

from typing import Any

import django_filters  # type: ignore[import-untyped]
from django.db.models import QuerySet
from django.forms import HiddenInput
from django.utils.translation import gettext_lazy

from transfer.models import AuditEntry
from transfer.pages.filters import DayFilters
from transfer.words import formats

SUBJECTS = {
    "transfer": "transfertask",
    "maintenance": "maintenancetask",
    "user": "user",
    "recipient": "recipient",
}


def people() -> list[tuple[str, str]]:
    names = AuditEntry.objects.order_by("who").values_list("who", flat=True).distinct()
    return [(name, name) for name in names if name]


class AuditFilter(DayFilters):
    moment = "at"
    q = django_filters.CharFilter(label=gettext_lazy("Search"), method="filter_text")
    who = django_filters.ChoiceFilter(label=gettext_lazy("Who"), choices=people)
    action = django_filters.ChoiceFilter(
        label=gettext_lazy("What"), choices=AuditEntry.Action.choices
    )
    # Where a page links to what was done to one thing, which the heading names: "transfer-12".
    about = django_filters.CharFilter(label="", widget=HiddenInput, method="filter_about")

    class Meta:
        model = AuditEntry
        fields = ["q", "who", "action", "since", "until"]

    def filter_text(self, entries: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return entries.search(value)  # type: ignore[attr-defined]

    def filter_about(self, entries: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        kind, _dash, number = value.partition("-")
        if kind not in SUBJECTS or (pk := formats.number_in(number)) is None:
            return entries.none()
        return entries.filter(subject_type=SUBJECTS[kind], subject_id=pk)
