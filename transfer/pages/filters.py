"""What all filters have: they are in the URL, and know whether they filter anything."""

from datetime import date, timedelta
from typing import Any, ClassVar, NamedTuple

import django_filters  # type: ignore[import-untyped]
from django.db.models import QuerySet
from django.forms import BoundField, DateInput, Form, Select
from django.utils.translation import gettext_lazy

from transfer.pages.fields import LongSelect
from transfer.text import formats
from transfer.text.zones import midnight


class Chip(NamedTuple):
    """One condition of a filter, and the query without it."""

    label: str
    value: str
    query: str
    has_field: bool  # where a person sees it, if the form is not folded


class FilterSet(django_filters.FilterSet):
    """A filter set that includes/filter_bar.html shows."""

    # The value without a condition, of fields that have a default.
    anything: ClassVar[dict[str, str]] = {}

    # Frequent searches: field, value, words.
    often: ClassVar[list[tuple[str, str, Any]]] = []

    def get_form_class(self) -> type[Form]:
        """The form. LongSelect draws its selects."""
        form: type[Form] = super().get_form_class()
        for field in form.base_fields.values():
            if type(field.widget) is Select:
                field.widget = LongSelect(field.widget.attrs, field.widget.choices)
        return form

    def offers(self) -> list[tuple[Any, str]]:
        """Frequent searches that are not in use: words, and the query with each."""
        return [
            (words, f"{self.without(name)}&{name}={value}")
            for name, value, words in self.often
            if not self.data.get(name)
        ]

    def chips(self) -> list[Chip]:
        given = {
            name: value
            for name, value in self.given.items()
            if value and self.data.get(name) != self.anything.get(name)
        }
        return [
            Chip(
                str(field.label),
                chosen(field, given[field.name]),
                self.without(field.name),
                not field.is_hidden,
            )
            for field in self.form
            if field.name in given and field.label
        ]

    @property
    def given(self) -> dict[str, Any]:
        """The conditions; none if any of them is invalid."""
        return dict(self.form.cleaned_data) if self.form.is_valid() else {}

    def without(self, name: str) -> str:
        """The query with the field at its widest value, on the first page."""
        query = self.data.copy()
        query.pop("page", None)
        query.pop(name, None)
        if name in self.anything:
            query[name] = self.anything[name]
        return query.urlencode()

    @property
    def active(self) -> bool:
        """Whether any condition is set."""
        return self.is_bound and any(self.data.get(name) for name in self.form.fields)


def chosen(field: BoundField, value: Any) -> str:
    """The value of a field in words; empty for a checkbox."""
    if isinstance(value, bool):
        return ""
    if isinstance(value, date):
        return formats.day(value)
    labels = dict(getattr(field.field, "choices", []) if isinstance(value, str) else [])
    return str(labels.get(value, value))


class DateFilter(django_filters.DateFilter):
    """A day, with the browser's calendar."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        widget = DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
        super().__init__(*args, **{"widget": widget, **kwargs})


class DayFilters(FilterSet):
    """Filters by a first and a last day; `moment` names the field."""

    moment = ""
    since = DateFilter(label=gettext_lazy("From day"), method="filter_since")
    until = DateFilter(label=gettext_lazy("To day"), method="filter_until")

    def filter_since(self, rows: QuerySet[Any], name: str, value: date) -> QuerySet[Any]:
        return rows.filter(**{f"{self.moment}__gte": midnight(value)})

    def filter_until(self, rows: QuerySet[Any], name: str, value: date) -> QuerySet[Any]:
        return rows.filter(**{f"{self.moment}__lt": midnight(value + timedelta(1))})
