"""Moments in the user's zone and language; the tooltip has the full date and time."""

from datetime import datetime
from html import escape

from django.utils.html import format_html_join
from django.utils.safestring import mark_safe

from transfer.pages.html import Html, once_a_day
from transfer.text import formats


def moment(when: datetime | None, how: str = "zone") -> Html | str:
    """`{{ run.started_at|moment }}`: today 14:05 MSK.

    Where a heading names the zone, `|moment:"bare"`: today 14:05, or `|moment:"seconds"`: 14:05:12.
    After "since" and "until", `|moment:"bound"`: 14:05 MSK, or tomorrow, 14:05 MSK.
    """
    if how == "bound":
        return _time(when, formats.bound(when, zone=True))
    return _time(when, formats.moment(when, zone=how == "zone", seconds=how == "seconds"))


def clock(when: datetime) -> Html | str:
    """`{{ task.upcoming_at|clock }}`: 14:05, tomorrow 03:00."""
    return _time(when, formats.clock(when))


def ago(when: datetime | None) -> Html | str:
    """`{{ run.finished_at|ago }}`: 5 minutes ago, in 2 hours. It goes on in the browser."""
    return _time(when, formats.ago(when), " data-ago")


def _time(when: datetime | None, text: str, more: str = "") -> Html | str:
    if when is None:
        return text
    full = escape(formats.full_moment(when))
    machine = when.isoformat(timespec="seconds")  # HTML allows no microseconds
    drawn = f'<time datetime="{machine}" title="{full}"{more}>{escape(text)}</time>'
    return mark_safe(drawn)  # noqa: S308 - escaped


@once_a_day
def clocks(*times: datetime) -> Html:
    """List items with the times of a schedule, which many tasks share."""
    return format_html_join("", "<li>{}</li>", ((clock(at),) for at in times))
