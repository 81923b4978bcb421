"""A flow of the overview's scheme: as an arrow in SVG, and as a line of the table beside it."""

from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.translation import gettext as _, ngettext

from transfer.pages.components.basic import icon
from transfer.pages.components.html import Html
from transfer.pages.overview.flows import Flow
from transfer.runs.backlog import Backlog
from transfer.text import formats

ARROW = """
<svg class="flow {tone}" x="22%" y="{y}" width="48%" height="50">
<a href="{url}" tabindex="-1">
<title>{name}: {look}</title>
<rect class="hit" width="100%" height="50" />
<text class="flow-kind" x="10" y="11">{kind}</text>
<line x1="0" x2="100%" y1="22" y2="22" />
</a>
<svg x="100%" y="22" overflow="visible"><path class="flow-head" d="M-9 -5 0 0-9 5z" /></svg>
<a href="{url}" tabindex="-1"><text class="flow-waits {muted}" x="10" y="40">{waits}</text></a>
<a href="{arrived_url}" tabindex="-1">
<text class="flow-arrived" x="100%" dx="-12" y="40" text-anchor="end">{arrived}</text>
</a>
{sign}
</svg>
"""
SIGN = """
<a href="{url}" tabindex="-1">
<svg x="50%" y="22" overflow="visible">
<title>{words}</title>
<circle r="8" />
<g transform="translate(-6 -6)">
<svg class="icon" width="12" height="12"><use href="{icons}#{icon}" /></svg>
</g>
</svg>
</a>
"""
LINE = """
<tr>
<th scope="row">{kind}</th>
<td class="num"><a href="{url}" id="flow-{key}" title="{oldest}{error}">{waits}</a></td>
<td class="num"><a href="{arrived_url}" id="arrived-{key}">{arrived}</a></td>
<td class="{tone}" title="{why}"><a href="{look_url}" id="look-{key}">{icon}{look}</a></td>
</tr>
"""


def arrow(flow: Flow) -> Html:
    """`{% flow_arrow flow %}`: the flow in the scheme."""
    row, look, backlog = flow.row, flow.look, flow.row.backlog
    return format_html(
        ARROW,
        tone=look.tone,
        y=flow.y,
        url=row.url,
        name=row.name,
        look=flow.words,
        kind=row.task.get_kind_display(),
        muted="" if backlog.rows else "muted",
        waits=_wait(backlog),
        arrived_url=flow.arrived_url,
        arrived=_today(flow.arrived),
        sign="" if look.tone == "ok" else _sign(flow),
    )


def _sign(flow: Flow) -> Html:
    icons, name = static("icons.svg"), flow.look.icon
    return format_html(SIGN, url=flow.state_url, words=flow.words, icons=icons, icon=name)


def _today(rows: int) -> Html:
    return Html(_("%(n)s<tspan> today</tspan>") % {"n": formats.number(rows)})


def _wait(backlog: Backlog) -> str:
    if backlog.rows is None:
        return _unknown(backlog)
    words = ngettext("%(n)s%(more)s waits", "%(n)s%(more)s wait", backlog.rows)
    return words % {"n": formats.number(backlog.rows), "more": backlog.more}


def _unknown(backlog: Backlog) -> str:
    return _("unknown") if backlog.error else _("being asked…")


def line(flow: Flow) -> Html:
    """`{% flow_line flow %}`: the flow in the table."""
    row, look, backlog = flow.row, flow.look, flow.row.backlog
    count = formats.number(backlog.rows) + backlog.more
    return format_html(
        LINE,
        kind=row.task.get_kind_display(),
        url=row.url,
        key=row.key,
        oldest=row.oldest_words,
        error=row.error_words,
        waits=_unknown(backlog) if backlog.rows is None else count,
        arrived_url=flow.arrived_url,
        arrived=formats.number(flow.arrived),
        tone=look.tone,
        why=row.why,
        look_url=flow.state_url,
        icon=icon(look.icon),
        look=flow.words,
    )
