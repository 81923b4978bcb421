"""What transfer tasks are filtered by on the scheduler."""

from typing import Any

import django_filters  # type: ignore[import-untyped]
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext_lazy as _

from transfer.models import BonusServer, TransferRun, TransferTask
from transfer.models.tasks import KindChoices
from transfer.pages.filters import FilterSet

STATES = {
    "enabled": _("Enabled"),
    "disabled": _("Disabled"),
    "paused": _("Paused"),
    "failing": _("Failing"),
    "open": _("Under way"),
}


class TaskFilter(FilterSet):
    server = django_filters.ModelChoiceFilter(
        label=_("Bonus server"), queryset=BonusServer.objects.all()
    )
    kind = django_filters.ChoiceFilter(label=_("Transfer"), choices=KindChoices.choices)
    state = django_filters.ChoiceFilter(
        label=_("State"), choices=list(STATES.items()), method="filter_state"
    )

    class Meta:
        model = TransferTask
        fields = ["server", "kind", "state"]

    def filter_state(self, tasks: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        if value == "open":
            return tasks.filter(Exists(TransferRun.objects.open().filter(task=OuterRef("pk"))))
        chosen: QuerySet[Any] = getattr(tasks, value)()
        return chosen.enabled() if value == "failing" else chosen  # type: ignore[attr-defined]
