"""What runs of the history are filtered by."""

from datetime import date, timedelta
from typing import Any

import django_filters  # type: ignore[import-untyped]
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy

from transfer.models import BonusServer, MaintenanceRun, TransferRun
from transfer.models.run_base import BAD_STATES, GOOD_STATES, OPEN_STATES, State, Trigger
from transfer.pages.filters import DayFilters

# What one looks for more often than a single state.
STATE_GROUPS = {
    "good": (gettext_lazy("All that moved everything"), GOOD_STATES),
    "bad": (gettext_lazy("All that went wrong"), BAD_STATES),
    "open": (gettext_lazy("All under way"), OPEN_STATES),
}
PERIODS = {
    24: gettext_lazy("Last 24 hours"),
    168: gettext_lazy("Last 7 days"),
    720: gettext_lazy("Last 30 days"),
}


def state_choices() -> list[tuple[str, Any]]:
    return [*State.choices, *((name, label) for name, (label, _states) in STATE_GROUPS.items())]


class RunFilter(DayFilters):
    """What runs of both kinds are filtered by."""

    moment = "queued_at"
    state = django_filters.ChoiceFilter(
        label=gettext_lazy("State"), choices=state_choices, method="filter_state"
    )
    trigger = django_filters.ChoiceFilter(label=gettext_lazy("Started by"), choices=Trigger.choices)
    actor = django_filters.ModelChoiceFilter(
        label=gettext_lazy("User"), queryset=User.objects.order_by("username")
    )
    hours = django_filters.ChoiceFilter(
        label=gettext_lazy("Period"), choices=list(PERIODS.items()), method="filter_hours"
    )

    def filter_hours(self, runs: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return runs.filter(queued_at__gte=timezone.now() - timedelta(hours=int(value)))

    def filter_state(self, runs: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        _label, states = STATE_GROUPS.get(value, ("", [value]))
        return runs.filter(state__in=states)

    @property
    def days(self) -> tuple[date | None, date | None]:
        """The first and the last day that the filter asks for."""
        cleaned = getattr(self.form, "cleaned_data", {}) if self.form.is_valid() else {}
        return cleaned.get("since"), cleaned.get("until")


class TransferRunFilter(RunFilter):
    server = django_filters.ModelChoiceFilter(
        label=gettext_lazy("Bonus server"), queryset=BonusServer.objects.all()
    )

    class Meta:
        model = TransferRun
        fields = ["server", "kind", "state", "trigger", "actor", "since", "until", "hours"]


class MaintenanceRunFilter(RunFilter):
    class Meta:
        model = MaintenanceRun
        fields = ["kind", "state", "trigger", "actor", "since", "until", "hours"]
