"""The tags and filters of the pages: `{% load transfer_ui %}`."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django import template
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from transfer.models.runs import State
from transfer.pages.history.charts import StackedBars
from transfer.words import formats

register = template.Library()

TONE_ICONS = {
    "ok": "check",
    "warn": "warning",
    "bad": "cross",
    "info": "play",
    "idle": "circle",
}
# Every state: its tone and its icon. Colour never says it alone.
STATES = {
    State.QUEUED: ("idle", "clock"),
    State.RUNNING: ("info", "play"),
    State.SUCCEEDED: ("ok", "check"),
    State.REJECTS: ("warn", "warning"),
    State.FAILED: ("bad", "cross"),
    State.SKIPPED: ("idle", "skip"),
    State.CANCELLED: ("idle", "ban"),
    State.INTERRUPTED: ("bad", "broken"),
}


@register.filter
def number(value: int | None) -> str:
    """`{{ run.read|number }}`: 1 234 567."""
    return formats.number(value)


@register.filter
def amount(value: Decimal | None, sign: str = "signed") -> str:
    """`{{ run.amount_applied|amount }}`: +1 234,50. `|amount:"plain"` leaves the plus out."""
    return formats.amount(value, signed=sign == "signed")


@register.filter
def rows(count: int) -> str:
    """`{{ waiting|rows }}`: 412 rows."""
    return formats.rows(count)


@register.filter
def duration(value: timedelta | float | None) -> str:
    """`{{ run.duration|duration }}`: 2 min 05 s."""
    return formats.duration(value)


def _time(when: datetime | None, text: str) -> SafeString | str:
    if when is None:
        return text
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        when.isoformat(),
        formats.full_moment(when),
        text,
    )


@register.filter
def moment(when: datetime | None, zone: str = "zone") -> SafeString | str:
    """`{{ run.started_at|moment }}`: today 14:05 MSK. `|moment:"bare"` leaves the zone out."""
    return _time(when, formats.moment(when, zone=zone == "zone"))


@register.filter
def ago(when: datetime | None) -> SafeString | str:
    """`{{ run.finished_at|ago }}`: 5 minutes ago, in 2 hours."""
    return _time(when, formats.ago(when))


@register.simple_tag
def zone() -> str:
    """The name of the user's time zone, for a column's heading."""
    return formats.zone_name()


@register.simple_tag
def icon(name: str) -> SafeString:
    """An icon of static/icons.svg. It is decoration: the word stands beside it."""
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        static("icons.svg"),
        name,
    )


@register.simple_tag
def badge(tone: str, text: Any, icon_name: str = "") -> SafeString:
    """`{% badge "ok" _("Online") %}`: icon, word and colour."""
    return format_html(
        '<span class="badge badge-{}">{}{}</span>', tone, icon(icon_name or TONE_ICONS[tone]), text
    )


@register.simple_tag
def state_badge(state: str) -> SafeString:
    """The state of a run: `{% state_badge run.state %}`."""
    return badge(STATES[State(state)][0], State(state).label, STATES[State(state)][1])


@register.inclusion_tag("includes/progress.html")
def progress(done: int, total: int, label: str = "", words: str = "") -> dict[str, Any]:
    """`{% progress run.read run.expected %}`: a bar with its share in words, or in `words`."""
    share = min(100, done * 100 // total) if total else 0
    return {
        "done": min(done, total),
        "total": total,
        "share": share,
        "label": label or _("Moved"),
        "words": words,
    }


def progress_bar(done: int, total: int) -> SafeString:
    """The same for a cell of a table."""
    return mark_safe(render_to_string("includes/progress.html", progress(done, total)))  # noqa: S308


@register.inclusion_tag("includes/stacked_bars.html")
def stacked_bars(chart: StackedBars) -> dict[str, Any]:
    """A `transfer.charts.StackedBars` as SVG, and as a table."""
    return {"chart": chart, "bars": list(chart.bars())}
