"""Bars of a chart: in SVG, and as lines of the table beside it."""

from html import escape
from typing import TYPE_CHECKING

from django.utils.html import format_html
from django.utils.safestring import mark_safe

from transfer.pages.components.html import Html, joined, link

if TYPE_CHECKING:
    from transfer.pages.history.charts import Bar

BAR, STEP, HEIGHT = 8, 10, 100  # in the units of the viewBox


def bar_shape(bar: "Bar") -> Html:
    """`{% bar_shape bar %}`: a bar of a chart, which leads to its `url` if it has one."""
    words = escape(f"{bar.label}: {bar.words}")
    parts = "".join(
        f'<rect class="chart-{tone}" x="{bar.x}" y="{y}" width="{BAR}" height="{height}" />'
        for tone, y, height in bar.segments
    )
    hit = f'<rect class="hit" x="{bar.x}" y="0" width="{BAR}" height="{HEIGHT}" />'
    inside = f"<title>{words}</title>{hit}{parts}"
    drawn = f'<a href="{escape(bar.url)}" aria-label="{words}">{inside}</a>'
    return mark_safe(drawn if bar.url else f"<g>{inside}</g>")  # noqa: S308 - escaped


def bar_line(bar: "Bar") -> Html:
    """`{% bar_line bar %}`: the same as a line of the table."""
    head = link(bar.url, bar.label) if bar.url else bar.label
    values = (*bar.shown, bar.words)
    cells = joined(format_html('<td class="num">{}</td>', value) for value in values)
    return format_html('<tr><th scope="row">{}</th>{}</tr>', head, cells)
