"""The filters of the history."""

from datetime import timedelta
from typing import Any, ClassVar

import django_filters  # type: ignore[import-untyped]
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.forms import CheckboxInput
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext_lazy

from transfer.models import BonusServer, MaintenanceRun, TransferRun
from transfer.models.run_base import BAD_STATES, GOOD_STATES, OPEN_STATES, State, Trigger
from transfer.pages.filters import DayFilters

# Groups of states, which people look for more often than for one.
STATE_GROUPS = {
    "good": (gettext_lazy("All that moved everything"), GOOD_STATES),
    "bad": (gettext_lazy("All that went wrong"), BAD_STATES),
    "open": (gettext_lazy("All in progress"), OPEN_STATES),
}
ALL = "all"
MONTH = "720"
PERIODS = {
    "24": gettext_lazy("Last 24 hours"),
    "168": gettext_lazy("Last 7 days"),
    MONTH: gettext_lazy("Last 30 days"),
    ALL: gettext_lazy("From the beginning"),
}


def state_choices() -> list[tuple[str, Any]]:
    return [*State.choices, *((name, label) for name, (label, _states) in STATE_GROUPS.items())]


class RunFilter(DayFilters):
    """Filters of both kinds of runs. By default they find the last 30 days."""

    moment = "queued_at"
    of_a_task: ClassVar[list[str]] = ["kind"]  # what names one
    anything: ClassVar[dict[str, str]] = {"hours": ALL}
    often: ClassVar[list[tuple[str, str, Any]]] = [("state", "bad", gettext_lazy("Went wrong"))]
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

    def __init__(self, data: QueryDict, queryset: QuerySet[Any]) -> None:
        asked = data.copy()
        if not (asked.get("since") or asked.get("until") or asked.get("hours") in PERIODS):
            asked["hours"] = MONTH
        super().__init__(asked, queryset)

    def filter_hours(self, runs: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        if value == ALL:
            return runs
        return runs.filter(queued_at__gte=timezone.now() - timedelta(hours=int(value)))

    def filter_state(self, runs: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        _label, states = STATE_GROUPS.get(value, ("", [value]))
        return runs.filter(state__in=states)


class TransferRunFilter(RunFilter):
    of_a_task: ClassVar[list[str]] = ["server", "kind"]
    often: ClassVar[list[tuple[str, str, Any]]] = [
        ("data_only", "on", gettext_lazy("Only with data")),
        *RunFilter.often,
    ]
    server = django_filters.ModelChoiceFilter(
        label=gettext_lazy("Bonus server"), queryset=BonusServer.objects.all()
    )
    data_only = django_filters.BooleanFilter(
        label=gettext_lazy("Only with data"), widget=CheckboxInput, method="filter_data"
    )

    class Meta:
        model = TransferRun
        fields = ["server", "kind", "state", "hours", "since", "until", "trigger", "actor"]

    def filter_data(self, runs: QuerySet[Any], name: str, value: bool) -> QuerySet[Any]:
        return runs.filter(read__gt=0) if value else runs


class MaintenanceRunFilter(RunFilter):
    class Meta:
        model = MaintenanceRun
        fields = ["kind", "state", "hours", "since", "until", "trigger", "actor"]
