"""The tags and filters of the pages; the settings make them builtins of every template."""

from typing import Any

from django import template
from django.utils.safestring import SafeString

from transfer.pages import drawing, navigation
from transfer.pages.history.charts import StackedBars
from transfer.pages.overview import drawing as overview
from transfer.pages.registers import drawing as registers
from transfer.pages.scheduler import drawing as scheduler
from transfer.pages.scheduler.status import TaskStatus
from transfer.words import formats

register = template.Library()

register.filter("number", formats.number)  # 1 234 567
register.filter("rows", formats.rows)  # 412 rows
register.filter("amount", formats.amount)  # +1 234,50
register.filter("duration", formats.duration)  # 2 min 05 s
register.simple_tag(formats.zone_name, name="zone")  # of the user, for a column's heading
register.filter("moment", drawing.moment)
register.filter("clock", drawing.clock)
register.filter("ago", drawing.ago)
register.filter("commands", drawing.commands)
register.simple_tag(drawing.icon)
register.simple_tag(drawing.badge)
register.simple_tag(drawing.state_badge)
register.simple_tag(drawing.switch_badge)
register.simple_tag(drawing.run_link)
register.simple_tag(drawing.polls)
register.simple_tag(drawing.fact)
register.simple_tag(drawing.card_head)
register.simple_tag(drawing.downloads)
register.simple_block_tag(drawing.notice)
register.simple_block_tag(lambda content: content, name="capture")  # to say it twice
crumbs = register.inclusion_tag("includes/breadcrumbs.html", takes_context=True)
crumbs(navigation.crumbs)
register.inclusion_tag("includes/help_link.html", takes_context=True)(navigation.help_link)
register.inclusion_tag("includes/progress.html")(drawing.progress)
register.filter("tone", registers.tone)
register.simple_tag(registers.account_badge)
register.simple_tag(registers.server_badge)
register.simple_tag(registers.day_strip)
register.simple_tag(scheduler.facts, name="task_facts")
register.simple_tag(overview.arrow, name="flow_arrow")
register.simple_tag(overview.line, name="flow_line")


@register.simple_tag(takes_context=True)
def post(context: Any, url: str, words: str, **options: Any) -> SafeString:
    """A button that posts to `url`: its `name` with its `value`, and all options not named here.

    It may have an `icon_name`, an `id` and a `style`. If it is `bare`, its words are a tooltip;
    screen readers hear them, and what the press is `about`.
    """
    return drawing.post(context.get("csrf_token", ""), url, words, **options)


@register.simple_tag(takes_context=True)
def switch(context: Any, action: str, label: str, on: bool, **options: Any) -> SafeString:
    """The switch of what `label` names, which is `on` or not. It posts `enabled` = 1 or 0, what the
    press asks for, to `action`, and all options not named here: `seen` where two people may switch
    at once, `next` where the page leads afterwards.

    It may have an `id`; `means` is that of what says what a press means. If it is `bare`, its words
    are for screen readers.
    """
    return drawing.switch(context.get("csrf_token", ""), action, label, on, **options)


@register.simple_tag(takes_context=True)
def task_actions(context: Any, row: TaskStatus, here: str) -> SafeString:
    """What an operator may do to a task; `here` is where the page leads afterwards."""
    return scheduler.actions(context.get("csrf_token", ""), row, here)


@register.inclusion_tag("includes/tile.html")
def tile(label: str, value: Any, note: str = "", **options: Any) -> dict[str, Any]:
    """A number with its label; it may have a `note`, a `tone`, and lead somewhere: `url`, `id`."""
    return {"label": label, "value": value, "note": note, **options}


@register.inclusion_tag("includes/stacked_bars.html")
def stacked_bars(chart: StackedBars, id: str = "") -> dict[str, Any]:
    """A chart of the history as SVG, and as a table; `id` of its fold, where the page refreshes."""
    return {"chart": chart, "bars": list(chart.bars()), "id": id}
