"""Which runs are shown, their totals, their chart, and how long the runs of a task take."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

import django_filters  # type: ignore[import-untyped]
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.forms import CheckboxInput
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models import BonusServer, MaintenanceRun, TransferRun
from transfer.models.run_base import BAD_STATES, GOOD_STATES, OPEN_STATES, State, Trigger
from transfer.models.runs import OUTCOMES
from transfer.pages.filters import DayFilters
from transfer.pages.shown.charts import Series, StackedBars
from transfer.pages.shown.looks import tone as tone_of
from transfer.text import formats
from transfer.text.zones import midnight

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


DAYS_AT_MOST = 31  # adding up more would let the user wait
HOUR = timedelta(hours=1)
RUNS_OF_A_TREND = 60


@dataclass(frozen=True)
class Period:
    """Moments in the user's zone; each two neighbours are the ends of a bar of the chart."""

    edges: Sequence[datetime]
    is_hourly: bool

    @classmethod
    def of(cls, runs: RunFilter) -> "Period":
        """The period of a filter, or its last days if it is too long."""
        since, until, hours = (runs.given.get(name) for name in ("since", "until", "hours"))
        now = timezone.localtime()
        if hours == "24" and not since and not until:
            return cls(_hours(now - 24 * HOUR, now + HOUR), is_hourly=True)
        last = until or now.date()
        back = timedelta(hours=int(MONTH if hours in (None, "", ALL) else hours))
        first = max(min(since or last - back, last), last - timedelta(DAYS_AT_MOST - 1))
        if first == last:
            return cls(_hours(midnight(first), midnight(first + timedelta(1))), is_hourly=True)
        count = (last - first).days + 2
        return cls([midnight(first + timedelta(n)) for n in range(count)], is_hourly=False)

    @property
    def title(self) -> str:
        hourly, daily = _("Rows by the hour, %(days)s"), _("Rows by the day, %(days)s")
        days = dict.fromkeys(formats.day(self.edges[at].date()) for at in (0, -2))
        return (hourly if self.is_hourly else daily) % {"days": " – ".join(days)}

    @property
    def labels(self) -> list[str]:
        if self.is_hourly:
            return [f"{edge:%H:%M}" for edge in self.edges[:-1]]
        return [formats.day(edge.date()) for edge in self.edges[:-1]]


def _hours(first: datetime, end: datetime) -> list[datetime]:
    """The full hours of the user's clock from `first` to `end`."""
    zone = timezone.get_current_timezone()
    at = first.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    edges = []
    while at <= end:
        edges.append(at.astimezone(zone))
        at += HOUR
    return edges


def summary(runs: RunFilter) -> dict[str, Any]:
    """The totals of the period, and the chart of its rows. One query."""
    period = Period.of(runs)
    parts = runs.qs.between(period.edges)
    totals = {name: sum(part[name] for part in parts) for name in parts[0]}
    return {"totals": totals, "chart": _rows_chart(runs, period, parts)}


def _rows_chart(runs: RunFilter, period: Period, parts: Sequence[dict[str, int]]) -> StackedBars:
    words = (("ok", _("Applied")), ("idle", _("Unchanged")), ("warn", _("Rejected")))
    return StackedBars(
        title=period.title,
        labels=period.labels,
        series=[
            Series(label, tone, [part[f"{name}_rows"] for part in parts])
            for name, (tone, label) in zip(OUTCOMES, words, strict=True)
        ],
        urls=[] if period.is_hourly else [_of_day(runs, edge.date()) for edge in period.edges[:-1]],
    )


def _of_day(runs: RunFilter, day: date) -> str:
    query = runs.data.copy()
    for name in ("page", "hours"):
        query.pop(name, None)
    query["since"] = query["until"] = day.isoformat()
    return f"?{query.urlencode()}"


def trend(runs: RunFilter) -> StackedBars | None:
    """How long the latest runs took, if the filter finds the runs of one task."""
    if not all(runs.given.get(name) for name in runs.of_a_task):
        return None
    ended = runs.qs.filter(started_at__isnull=False, finished_at__isnull=False)
    latest = list(ended.order_by("-queued_at", "-pk")[:RUNS_OF_A_TREND])[::-1]
    words = (
        ("ok", _("Succeeded")),
        ("warn", _("With rejects")),
        ("bad", _("Failed")),
        ("idle", State.CANCELLED.label),
    )
    lengths = [
        (tone_of(run.state, "run"), max(round((run.seconds or 0) * 1000), 1)) for run in latest
    ]
    series = [
        Series(str(label), tone, [ms if own == tone else 0 for own, ms in lengths])
        for tone, label in words
    ]
    return StackedBars(
        title=_("How long the latest runs took"),
        labels=[formats.moment(run.queued_at, zone=False, seconds=True) for run in latest],
        series=series,
        urls=[run.get_absolute_url() for run in latest],
        shown=lambda ms: formats.duration(ms / 1000),
    )
