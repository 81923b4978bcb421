"""Flows of the overview: as arrows in SVG, and as lines of a table."""

from collections.abc import Sequence

from django.templatetags.static import static
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from transfer.models.flow_hours import most_within
from transfer.pages.components.basic import icon
from transfer.pages.components.tasks import count_of, rows_that_wait, state_of_some
from transfer.pages.components.times import ago
from transfer.pages.html import Html, format_words, joined
from transfer.pages.shown.flows import Flow, Receiver
from transfer.pages.shown.task_groups import oldest
from transfer.pages.shown.task_status import TaskStatus
from transfer.text import formats

ARROW = """
<svg class="flow {tone}" x="22%" y="{y}" width="48%" height="50">
<a href="{url}" tabindex="-1">
<title>{name}: {look}</title>
<rect class="hit" width="100%" height="50" />
<text class="flow-kind" x="10" y="11">{kind}</text>
<text class="flow-state" x="100%" dx="-12" y="11" text-anchor="end">{look}</text>
<line x1="0" x2="100%" y1="22" y2="22" />
</a>
<svg x="100%" y="22" overflow="visible"><path class="flow-head" d="M-9 -5 0 0-9 5z" /></svg>
<a href="{url}" aria-label="{name}: {waits_in_full}"><title>{waits_in_full}</title>
<rect class="hit" y="28" width="50%" height="22" />
<text class="flow-waits {muted}" x="10" y="40">{waits}</text></a>
<a href="{arrived_url}" aria-label="{name}: {arrived_in_full}"><title>{arrived_in_full}</title>
<rect class="hit" x="50%" y="28" width="50%" height="22" />
<text class="flow-arrived" x="100%" dx="-12" y="40" text-anchor="end">{arrived}</text>
</a>
{sign}
</svg>
"""
SIGN = """
<a href="{url}" aria-label="{name}: {words}" tabindex="-1">
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
<tr role="row">
<th role="rowheader" scope="row">{kind}</th>
<td role="cell" class="num" data-label="{waiting_label}">
<a href="{url}" id="flow-{key}" title="{error}">{waits}</a>{oldest}</td>
<td role="cell" class="num" data-label="{arrived_label}">
<a href="{arrived_url}" id="arrived-{key}">{arrived}</a></td>
<td role="cell" class="num" data-label="{within_label}">{within}</td>
<td role="cell" class="{tone} lower whole" title="{why}">
<a href="{look_url}" id="look-{key}">{icon}{look}</a></td>
</tr>
"""
SERVER_LINE = """
<tr role="row">
<th role="rowheader" scope="row" class="break"><a href="{url}" id="server-{pk}">{name}</a></th>
<td role="cell" class="num" data-label="{waiting_label}">{waits}{oldest}</td>
<td role="cell" class="num" data-label="{arrived_label}">
<a href="{arrived_url}" id="arrived-{pk}">{arrived}</a></td>
<td role="cell" class="num" data-label="{within_label}">{within}</td>
<td role="cell" class="lower whole"><div class="row">{states}</div></td>
</tr>
"""


def arrow(flow: Flow) -> Html:
    """`{% flow_arrow flow %}`: the flow in the scheme."""
    look, waiting = flow.worst.look, flow.waiting
    arrived = _("%(n)s<tspan> today</tspan>") % {"n": formats.short_number(flow.arrived)}
    return format_html(
        ARROW,
        tone=look.tone,
        y=flow.y,
        url=flow.url,
        name=flow.name,
        look=flow.words,
        kind=flow.kind,
        muted="" if waiting.rows else "muted",
        waits=rows_that_wait(waiting, formats.short_number),
        waits_in_full=rows_that_wait(waiting),
        arrived_url=flow.arrived_url,
        arrived=Html(arrived),
        arrived_in_full=_("%(n)s today") % {"n": formats.number(flow.arrived)},
        sign="" if look.tone == "ok" else _sign(flow),
    )


def _sign(flow: Flow) -> Html:
    return format_html(
        SIGN,
        url=flow.state_url,
        name=flow.name,
        words=flow.words,
        icons=static("icons.svg"),
        icon=flow.worst.look.icon,
    )


def line(flow: Flow) -> Html:
    """`{% flow_line flow %}`: the flow to one server, in the table."""
    (row,) = flow.rows
    look, waiting = row.look, flow.waiting
    return format_html(
        LINE,
        **_labels(),
        kind=flow.kind,
        url=row.url,
        key=row.key,
        oldest=_oldest(flow.rows),
        error=row.error_words,
        waits=count_of(waiting),
        arrived_url=flow.arrived_url,
        arrived=formats.number(flow.arrived),
        within=formats.within(most_within(row.delays)),
        tone=look.tone,
        why=row.why,
        look_url=flow.state_url,
        icon=icon(look.icon),
        look=flow.words,
    )


def _labels() -> dict[str, str]:
    """The headings of columns, which a phone shows in each line."""
    return {
        "waiting_label": _("Waiting now"),
        "arrived_label": _("Arrived today"),
        "within_label": _("95 of 100 arrive within"),
    }


def _oldest(rows: Sequence[TaskStatus]) -> Html | str:
    """Since when the oldest row waits, under their number."""
    at = oldest(rows)
    words = format_words(_("the oldest %(ago)s"), ago=ago(at)) if at else ""
    return format_html('<div class="muted tiny">{}</div>', words) if at else ""


def server_line(receiver: Receiver) -> Html:
    """`{% server_line receiver %}`: a server with all its flows in the table of many servers."""
    server, waiting = receiver.server, receiver.group.waiting
    return format_html(
        SERVER_LINE,
        url=reverse("scheduler", query={"server": server.pk}),
        pk=server.pk,
        name=server.name,
        **_labels(),
        waits=count_of(waiting),
        oldest=_oldest(receiver.group.rows),
        within=formats.within(receiver.most_within),
        arrived_url=receiver.arrived_url,
        arrived=formats.number(receiver.arrived),
        states=joined(map(state_of_some, receiver.group.states)),
    )
