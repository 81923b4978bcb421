"""The state of a staged change on each bonus server. A page has hundreds of these lines."""

from collections.abc import Iterable, Sequence

from django.utils.html import format_html
from django.utils.translation import gettext as _

from transfer.pages.components.basic import icon, run_link
from transfer.pages.components.states import state_badge
from transfer.pages.components.times import moment
from transfer.pages.html import EMPTY, Html, joined, link
from transfer.pages.shown.looks import look
from transfer.pages.shown.traced import ShownDelivery, arrival

LINE = """
<li><span class="strong break">{server}</span><div>{state} {run}{note}</div></li>
"""
RUN = '{} <span class="muted">{}</span>'


def deliveries(lines: Iterable[ShownDelivery]) -> Html:
    """`{% deliveries row.deliveries %}`: a line for each server."""
    drawn = joined(_line(one) for one in lines)
    none = format_html('<li class="muted">{}</li>', _("No bonus server is docked."))
    return format_html('<ul class="deliveries lean">{}</ul>', drawn or none)


def _line(delivery: ShownDelivery) -> Html:
    run, reject = delivery.run, delivery.reject
    words = _("Decide on it") if reject and reject.is_open else _("The rejected row")
    note = format_html(
        '<div class="note">{} {}</div>',
        delivery.detail,
        link(reject.get_absolute_url(), words) if reject else EMPTY,
    )
    return format_html(
        LINE,
        server=delivery.server,
        state=state_badge("delivery", delivery.state),
        run=format_html(RUN, run_link(run), moment(run.finished_at or run.started_at))
        if run
        else EMPTY,
        note=note if delivery.detail else EMPTY,
    )


def arrival_line(lines: Sequence[ShownDelivery]) -> Html:
    """`{% arrival_line row.deliveries %}`: the same of many servers in one line."""
    drawn = '<span class="{}">{} {}</span>'
    looks = ((look(state, "delivery"), words) for state, words in arrival(lines))
    parts = (format_html(drawn, shown.tone, icon(shown.icon), words) for shown, words in looks)
    return format_html('<div class="row arrival">{}</div>', joined(parts))
