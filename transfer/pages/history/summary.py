"""Totals of the runs that a filter finds, their chart, and how long the runs of a task take."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from transfer.models.run_base import State
from transfer.models.runs import OUTCOMES
from transfer.pages.components.states import tone as tone_of
from transfer.pages.filters import midnight
from transfer.pages.history.charts import Series, StackedBars
from transfer.pages.history.filters import ALL, MONTH, RunFilter
from transfer.text import formats

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
    latest = _latest(runs.qs)
    words = (
        ("ok", _("Succeeded")),
        ("warn", _("With rejects")),
        ("bad", _("Failed")),
        ("idle", State.CANCELLED.label),
    )
    series = [
        Series(str(label), tone, [_ms(run) * (tone_of(run.state, "run") == tone) for run in latest])
        for tone, label in words
    ]
    return StackedBars(
        title=_("How long the latest runs took"),
        labels=[formats.moment(run.queued_at, zone=False, seconds=True) for run in latest],
        series=series,
        urls=[run.get_absolute_url() for run in latest],
        shown=lambda ms: formats.duration(ms / 1000),
    )


def _latest(runs: QuerySet[Any]) -> list[Any]:
    ended = runs.filter(started_at__isnull=False, finished_at__isnull=False)
    return list(ended.order_by("-queued_at", "-pk")[:RUNS_OF_A_TREND])[::-1]


def _ms(run: Any) -> int:
    return max(round((run.seconds or 0) * 1000), 1)
