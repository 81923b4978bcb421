"""Bars of a chart: in SVG, and as lines of the table beside it."""

from html import escape

from django.utils.html import format_html
from django.utils.safestring import mark_safe

from transfer.pages.html import Html, joined, link
from transfer.pages.shown.charts import BAR, STEP, Bar


def bar_shape(bar: Bar) -> Html:
    """`{% bar_shape bar %}`: a bar of a chart; one that is higher than the scale is broken."""
    parts = "".join(
        f'<rect class="chart-{tone}" x="{bar.x}" y="{y}" width="{BAR}" height="{height}" />'
        for tone, y, height in bar.segments
    )
    broken = f'<path class="chart-break" d="M{bar.x - 1} 18 {bar.x + BAR + 1} 10" />'
    return mark_safe(parts + broken * bar.is_cut)  # noqa: S308 - of numbers


def bar_value(bar: Bar, width: int) -> Html:
    """`{% bar_value bar chart.width %}`: what a bar says when the pointer or the focus is on it.

    It leads to the bar's `url` if it has one. It is in SVG, but not of the bars, whose scales would
    distort its words.
    """
    several = ", " in bar.parts
    total = f"{bar.words} ({bar.parts})" if several else bar.parts or bar.words
    words = escape(f"{bar.label}: {total}")
    left, wide = 100 * (bar.x - 1) / width, 100 * STEP / width
    inside = (
        f'<rect class="hit" x="{left:.3f}%" width="{wide:.3f}%" height="100%" />'
        '<foreignObject class="chart-value" y="-20" width="100%" height="20">'
        f"<div>{words}</div></foreignObject>"
    )
    link = f'<a href="{escape(bar.url)}" aria-label="{words}">{inside}</a>'
    alone = f'<g role="img" tabindex="0" aria-label="{words}">{inside}</g>'
    return mark_safe(link if bar.url else alone)  # noqa: S308 - escaped


def bar_line(bar: Bar) -> Html:
    """`{% bar_line bar %}`: the same as a line of the table."""
    head = link(bar.url, bar.label) if bar.url else bar.label
    values = (*bar.shown, bar.words)
    cells = joined(format_html('<td class="num">{}</td>', value) for value in values)
    return format_html('<tr><th scope="row">{}</th>{}</tr>', head, cells)
