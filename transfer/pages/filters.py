"""What every filter has: it lives in the URL, and knows whether it filters anything."""

from datetime import date, datetime, time, timedelta
from typing import Any

import django_filters  # type: ignore[import-untyped]
from django.db.models import QuerySet
from django.forms import DateInput
from django.utils import timezone
from django.utils.translation import gettext_lazy


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


class DayFilters(FilterSet):
    """What happened from one day to another; `moment` names the field."""

    moment = ""
    since = DateFilter(label=gettext_lazy("From day"), method="filter_since")
    until = DateFilter(label=gettext_lazy("To day"), method="filter_until")

    def filter_since(self, rows: QuerySet[Any], name: str, value: date) -> QuerySet[Any]:
        return rows.filter(**{f"{self.moment}__gte": midnight(value)})

    def filter_until(self, rows: QuerySet[Any], name: str, value: date) -> QuerySet[Any]:
        return rows.filter(**{f"{self.moment}__lt": midnight(value + timedelta(1))})


def midnight(day: date) -> datetime:
    """When the day begins in the user's time zone."""
    return datetime.combine(day, time(), timezone.get_current_timezone())
