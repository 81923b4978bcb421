"""What every filter has: it lives in the URL, and knows whether it filters anything."""

from datetime import date, datetime, time, timedelta
from typing import Any

import django_filters  # type: ignore[import-untyped]
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.forms import DateInput, HiddenInput
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from transfer.loading.values import REJECT_KEY
from transfer.models import BonusServer, MaintenanceRun, RejectedRow, TransferRun
from transfer.models.run_base import BAD_STATES, GOOD_STATES, OPEN_STATES, State, Trigger
from transfer.models.tasks import KindChoices
from transfer.words.explain import CHECKS


class FilterSet(django_filters.FilterSet):
    """A filter set of ours, shown by includes/filter_bar.html."""

    @property
    def active(self) -> bool:
        """Whether anything is filtered out."""
        return self.is_bound and any(self.data.get(name) for name in self.form.fields)


class DateFilter(django_filters.DateFilter):
    """A day, with the browser's calendar."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        widget = DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
        super().__init__(*args, **{"widget": widget, **kwargs})


def midnight(day: date) -> datetime:
    """When the day begins in the user's time zone."""
    return datetime.combine(day, time(), timezone.get_current_timezone())


# What one looks for more often than a single state.
STATE_GROUPS = {
    "good": (_("All that moved everything"), GOOD_STATES),
    "bad": (_("All that went wrong"), BAD_STATES),
    "open": (_("All under way"), OPEN_STATES),
}


PERIODS = {24: _("Last 24 hours"), 168: _("Last 7 days"), 720: _("Last 30 days")}


def state_choices() -> list[tuple[str, Any]]:
    return [*State.choices, *((name, label) for name, (label, _states) in STATE_GROUPS.items())]


class RunFilter(FilterSet):
    """What runs of both kinds are found by."""

    state = django_filters.ChoiceFilter(
        label=_("State"), choices=state_choices, method="filter_state"
    )
    trigger = django_filters.ChoiceFilter(label=_("Started by"), choices=Trigger.choices)
    actor = django_filters.ModelChoiceFilter(
        label=_("User"), queryset=User.objects.order_by("username")
    )
    since = DateFilter(label=_("From day"), method="filter_since")
    until = DateFilter(label=_("To day"), method="filter_until")
    hours = django_filters.ChoiceFilter(
        label=_("Period"), choices=list(PERIODS.items()), method="filter_hours"
    )

    def filter_hours(self, runs: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return runs.filter(queued_at__gte=timezone.now() - timedelta(hours=int(value)))

    def filter_state(self, runs: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        _label, states = STATE_GROUPS.get(value, ("", [value]))
        return runs.filter(state__in=states)

    def filter_since(self, runs: QuerySet[Any], name: str, value: date) -> QuerySet[Any]:
        return runs.filter(queued_at__gte=midnight(value))

    def filter_until(self, runs: QuerySet[Any], name: str, value: date) -> QuerySet[Any]:
        return runs.filter(queued_at__lt=midnight(value + timedelta(1)))

    @property
    def days(self) -> tuple[date | None, date | None]:
        """The first and the last day that the filter asks for."""
        cleaned = getattr(self.form, "cleaned_data", {}) if self.form.is_valid() else {}
        return cleaned.get("since"), cleaned.get("until")


class TransferRunFilter(RunFilter):
    server = django_filters.ModelChoiceFilter(
        label=_("Bonus server"), queryset=BonusServer.objects.all()
    )

    class Meta:
        model = TransferRun
        fields = ["server", "kind", "state", "trigger", "actor", "since", "until", "hours"]


class MaintenanceRunFilter(RunFilter):
    class Meta:
        model = MaintenanceRun
        fields = ["kind", "state", "trigger", "actor", "since", "until", "hours"]


def reason_choices() -> list[tuple[str, str]]:
    return [(code, gettext(check.sentence)) for code, check in CHECKS.items()]


class RejectFilter(FilterSet):
    """What rejected rows are found by. What is open comes first, unless one asks for more."""

    kind = django_filters.ChoiceFilter(label=_("Transfer"), choices=KindChoices.choices)
    code = django_filters.ChoiceFilter(label=_("Reason"), choices=reason_choices)
    server = django_filters.ModelChoiceFilter(
        label=_("Bonus server"), queryset=BonusServer.objects.all()
    )
    state = django_filters.ChoiceFilter(
        label=_("State"),
        choices=[*RejectedRow.State.choices, ("all", _("All"))],
        empty_label=None,
        method="filter_state",
    )
    q = django_filters.CharFilter(label=_("Account, card or row number"), method="filter_text")
    since = DateFilter(label=_("From day"), method="filter_since")
    until = DateFilter(label=_("To day"), method="filter_until")
    run = django_filters.NumberFilter(widget=HiddenInput)

    class Meta:
        model = RejectedRow
        fields = ["kind", "code", "server", "state", "q", "since", "until", "run"]

    def __init__(self, data: QueryDict, queryset: QuerySet[Any]) -> None:
        asked = data.copy()
        if asked.get("state") not in {"all", *RejectedRow.State.values}:
            asked["state"] = RejectedRow.State.OPEN
        super().__init__(asked, queryset)

    @property
    def active(self) -> bool:
        given = {name for name in self.form.fields if self.data.get(name)}
        return given != {"state"} or self.data["state"] != RejectedRow.State.OPEN

    def filter_state(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return rows if value == "all" else rows.filter(state=value)

    def filter_text(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        text = value.strip()
        fits = Q(payload__account__startswith=text) | Q(payload__card__startswith=text)
        if key := REJECT_KEY.fullmatch(text):
            fits |= Q(pk=int(key[1]), staging_id=int(key[2]))
        if text.isascii() and text.isdigit() and len(text) < 19:
            fits |= Q(staging_id=int(text)) | Q(resent_id=int(text))
        return rows.filter(fits)

    def filter_since(self, rows: QuerySet[Any], name: str, value: date) -> QuerySet[Any]:
        return rows.filter(created_at__gte=midnight(value))

    def filter_until(self, rows: QuerySet[Any], name: str, value: date) -> QuerySet[Any]:
        return rows.filter(created_at__lt=midnight(value + timedelta(1)))
