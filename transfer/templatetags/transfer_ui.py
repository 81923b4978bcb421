"""The tags and filters of the pages; the settings make them builtins of every template."""

from typing import Any

from django import template
from django.template.loader import render_to_string

from transfer.pages import navigation
from transfer.pages.components import (
    basic,
    buttons,
    charts,
    flows,
    problems,
    registers,
    states,
    task_facts,
    tasks,
    time_grid,
    times,
    trace,
)
from transfer.pages.shown import looks
from transfer.pages.shown.charts import StackedBars
from transfer.text import formats
from transfer.text.commands import as_typed_here

register = template.Library()

register.filter("number", formats.number)  # 1 234 567
register.filter("rows", formats.rows)  # 412 rows
register.filter("amount", formats.amount)  # +1 234,50
register.filter("duration", formats.duration)  # 2 min 05 s
register.filter("on_paper", formats.on_paper)  # a stored moment: 2026-11-24 14:05
register.simple_tag(formats.zone_name, name="zone")  # of the user, for a column's heading
register.filter("as_typed_here", as_typed_here, is_safe=True)  # commands, within {% filter %}
register.filter("entry", lambda known, name: known.get(name))  # of a dictionary
register.filter("moment", times.moment)
register.filter("clock", times.clock)
register.filter("ago", times.ago)
register.filter("commands", basic.commands)
register.simple_tag(basic.stylesheets)
register.simple_tag(basic.icon)
register.simple_tag(basic.run_link)
register.simple_tag(basic.progress)
register.simple_tag(basic.polls)
register.simple_tag(basic.fact)
register.simple_block_tag(lambda content: content, name="capture")  # to say it twice
register.simple_tag(buttons.hidden)
register.simple_tag(buttons.post, takes_context=True)
register.simple_tag(buttons.switch, takes_context=True)
register.filter("look", looks.look)
register.filter("tone", looks.tone)
register.simple_tag(states.badge)
register.simple_tag(states.state_badge)
register.simple_tag(states.switch_badge)
register.inclusion_tag("includes/breadcrumbs.html", takes_context=True)(navigation.crumbs)
register.inclusion_tag("includes/help_link.html", takes_context=True)(navigation.help_link)
register.simple_tag(problems.looked_after)
register.simple_tag(problems.muted)
register.filter("untaken", problems.untaken)
register.simple_tag(registers.account_badge)
register.simple_tag(registers.counts, name="register_counts")
register.simple_tag(registers.day_strip)
register.simple_tag(task_facts.facts, name="task_facts")
register.simple_tag(tasks.group_head)
register.simple_tag(tasks.folded_group)
register.simple_tag(tasks.actions, takes_context=True, name="task_actions")
register.simple_tag(flows.arrow, name="flow_arrow")
register.simple_tag(flows.line, name="flow_line")
register.simple_tag(flows.server_line)
register.simple_tag(time_grid.time_line)
register.simple_tag(time_grid.failing_line)
register.inclusion_tag("history/square_legend.html")(time_grid.square_legend)
register.simple_tag(trace.deliveries)
register.simple_tag(trace.arrival_line)
register.simple_tag(charts.bar_shape)
register.simple_tag(charts.bar_value)
register.simple_tag(charts.bar_line)


@register.inclusion_tag("includes/tile.html")
def tile(label: str, value: Any, note: str = "", **options: Any) -> dict[str, Any]:
    """A number with its label; it may have a `note`, a `tone`, and lead somewhere: `url`, `id`."""
    return {"label": label, "value": value, "note": note, **options}


@register.inclusion_tag("includes/stacked_bars.html")
def stacked_bars(chart: StackedBars, id: str = "") -> dict[str, Any]:
    """A chart of the history as SVG, and as a table; `id` of its fold, where the page refreshes."""
    return {"chart": chart, "bars": list(chart.bars()), "id": id}


@register.inclusion_tag("includes/card_head.html")
def card_head(
    title: str, note: str = "", *, id: str = "", url: str = "", link: str = ""
) -> dict[str, Any]:
    """The head of a card: its heading, and at the right a note or a link, if there is one."""
    return {"title": title, "note": note, "id": id, "url": url, "link": link}


@register.simple_block_tag
def notice(content: str, tone: str = "info", role: str = "", icon_name: str = "") -> str:
    """`{% notice "warn" %}…{% endnotice %}`: what a reader has to know first."""
    context = {
        "content": content,
        "tone": tone,
        "role": role or ("alert" if tone == "bad" else "status"),
        "icon_name": icon_name or ("info" if tone == "info" else basic.TONE_ICONS[tone]),
    }
    return render_to_string("includes/notice.html", context)


@register.inclusion_tag("includes/download_links.html")
def downloads(url: str, query: str = "", of: str = "", endings: str = "csv xlsx") -> dict[str, Any]:
    """Links that download a list as CSV and as XLSX.

    `url` is the address of one of them; the other differs in its ending. `of` names the list where
    a page has several.
    """
    base, end = url.rpartition(".")[0], f"?{query}" if query else ""
    links = [(f"{base}.{ending}{end}", ending.upper()) for ending in endings.split()]
    return {"links": links, "of": of}
