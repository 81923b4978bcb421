"""The filters of "By hand": who, which account, which way, when, and what looks unusual."""

from datetime import timedelta
from typing import Any

import django_filters  # type: ignore[import-untyped]
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Abs, ExtractHour, ExtractIsoWeekDay
from django.forms import CheckboxInput
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext_lazy

from transfer.models import EnteredRow, Entry, Settings, Upload
from transfer.models.approvers import OF_KEYS
from transfer.pages.filters import DayFilters

DAYS = 30  # that the page shows without a first day
JUST_BELOW = 5  # a row is just below a limit if it has at least four fifths of it
WORKING_HOURS = {"8-20": (8, 20), "9-18": (9, 18), "7-23": (7, 23)}
LAST_WORKING_DAY = 5


def people() -> list[tuple[str, str]]:
    names = Entry.objects.order_by("who").values_list("who", flat=True).distinct()
    return [(name, name) for name in names]


class ByHandFilter(DayFilters):
    moment = "entry__at"
    q = django_filters.CharFilter(
        label=gettext_lazy("Account"), field_name="account", lookup_expr="exact"
    )
    who = django_filters.ChoiceFilter(
        label=gettext_lazy("Who"), choices=people, field_name="entry__who"
    )
    way = django_filters.ChoiceFilter(
        label=gettext_lazy("Way"), choices=Upload.InputMethod.choices, field_name="entry__way"
    )
    approved = django_filters.ChoiceFilter(
        label=gettext_lazy("Second person"),
        choices=[("yes", gettext_lazy("approved")), ("no", gettext_lazy("not needed"))],
        method="filter_approved",
    )
    outside = django_filters.ChoiceFilter(
        label=gettext_lazy("Outside working hours"),
        choices=[
            ("8-20", gettext_lazy("before 8 or from 20 o’clock on")),
            ("9-18", gettext_lazy("before 9 or from 18 o’clock on")),
            ("7-23", gettext_lazy("before 7 or from 23 o’clock on")),
            ("weekend", gettext_lazy("on Saturdays and Sundays")),
        ],
        method="filter_outside",
    )
    near = django_filters.BooleanFilter(
        label=gettext_lazy("Just below the limit of a row"),
        widget=CheckboxInput,
        method="filter_near",
    )

    class Meta:
        model = EnteredRow
        fields = ["q", "who", "way", "approved", "outside", "since", "until", "near"]

    @classmethod
    def of(cls, query: QueryDict) -> "ByHandFilter":
        """Return the filter of a query; without a first day, that of the last days."""
        given = query.copy()
        if "since" not in given:
            given["since"] = (timezone.localdate() - timedelta(DAYS)).isoformat()
        return cls(given, EnteredRow.objects.select_related("entry").order_by("-pk"))

    @property
    def is_of_rows(self) -> bool:
        """Whether a condition chooses single rows of an entry."""
        return any(self.data.get(name) for name in ("q", "near"))

    def filter_approved(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        none = Q(entry__approved_by="")
        return rows.filter(none if value == "no" else ~none)

    def filter_outside(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        zone = Settings.load().zone
        if value == "weekend":
            day = ExtractIsoWeekDay("entry__at", tzinfo=zone)
            return rows.annotate(day=day).filter(day__gt=LAST_WORKING_DAY)
        begins, ends = WORKING_HOURS[value]
        hour = ExtractHour("entry__at", tzinfo=zone)
        return rows.annotate(hour=hour).filter(Q(hour__lt=begins) | Q(hour__gte=ends))

    def filter_near(self, rows: QuerySet[Any], name: str, value: bool) -> QuerySet[Any]:
        """Rows that went without a second person, and have at least four fifths of the limit.

        Of keys: of the limit that the settings have for keys.
        """
        if not value:
            return rows
        settings, of_keys = Settings.load(), Q(entry__who__endswith=OF_KEYS)
        found = Q(pk=None)
        limits = ((~of_keys, settings.row_limit), (of_keys, settings.key_row_limit))
        for whose, limit in limits:
            if limit is not None:
                least = limit - limit // JUST_BELOW
                found |= whose & Q(size__gte=least, size__lte=limit)
        rows = rows.annotate(size=Abs(F("amount")))
        return rows.filter(found, entry__approved_by="")
