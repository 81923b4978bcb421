"""The filters of transfer tasks on the scheduler."""

from typing import Any

import django_filters  # type: ignore[import-untyped]
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext_lazy

from transfer.models import BonusServer, TransferRun, TransferTask
from transfer.models.tasks import KindChoices
from transfer.pages.filters import FilterSet

STATES = {
    "enabled": gettext_lazy("Enabled"),
    "disabled": gettext_lazy("Disabled"),
    "paused": gettext_lazy("Paused"),
    "failing": gettext_lazy("Failing"),
    "open": gettext_lazy("In progress"),
}


class TaskFilter(FilterSet):
    server = django_filters.ModelChoiceFilter(
        label=gettext_lazy("Bonus server"), queryset=BonusServer.objects.all()
    )
    kind = django_filters.ChoiceFilter(label=gettext_lazy("Transfer"), choices=KindChoices.choices)
    state = django_filters.ChoiceFilter(
        label=gettext_lazy("State"), choices=list(STATES.items()), method="filter_state"
    )

    class Meta:
        model = TransferTask
        fields = ["server", "kind", "state"]

    def filter_state(self, tasks: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        if value == "open":
            return tasks.filter(Exists(TransferRun.objects.open().filter(task=OuterRef("pk"))))
        chosen: QuerySet[Any] = getattr(tasks, value)()
        return chosen.enabled() if value == "failing" else chosen  # type: ignore[attr-defined]
