"""Rejected rows: their reason, the row as received, the servers that rejected it."""

from collections.abc import Collection, Iterable, Mapping
from html import escape

from django.utils.html import format_html
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _

from transfer.causes.rows import reason_named
from transfer.models import RejectedRow, Upload
from transfer.models.addresses import address
from transfer.models.tasks import KindChoices
from transfer.pages.components.states import badge, state_badge
from transfer.pages.html import Html, joined, link, muted, once, row, titled
from transfer.text import formats
from transfer.text.columns import heading
from transfer.text.explain import Explanation, explain
from transfer.trace.reached import Reached


@once
def reason_of(code: str) -> Html:
    """Why the row was rejected; the tooltip says what to do."""
    reason = explain(reason_named(code))
    return titled(reason.sentence, reason.hint)


def reject_link(one: RejectedRow) -> Html:
    """The number of the staged row, which leads to the reject."""
    return link(one.get_absolute_url(), f"№ {one.row}")


def reject_links(rejects: Iterable[RejectedRow]) -> Html:
    """The servers that rejected the same row, each as a link to its reject."""
    return joined((link(one.get_absolute_url(), one.server_name) for one in rejects), ", ")


def payload(
    texts: Mapping[str, str], wrong: Collection[str], named: Iterable[str], kind: str
) -> Html:
    """The row as received.

    `texts`: of each column its text; the tooltip has all of them, after the `kind`. The cell has
    the columns that the failed check looked at, `wrong`, and those that name the row.
    """
    if not texts:
        return muted(_("unknown"))
    shown = " ".join(
        f'<span><span class="muted tiny">{escape(heading(name))}</span> '
        f'<code class="{"wrong" * (name in wrong)}">{escape(texts[name])}</code></span>'
        for name in dict.fromkeys([*wrong, *named])
        if texts[name]
    )
    full = "; ".join(f"{heading(name)} {text}" for name, text in texts.items() if text)
    title = escape(f"{kind}: {full}")
    drawn = f'<div class="payload clamped" title="{title}">{shown}</div>'
    return mark_safe(drawn)  # noqa: S308 - escaped


def rejecting_servers(rejects: Iterable[RejectedRow], short_names: Mapping[str, str]) -> Html:
    """The servers that rejected the same row, each as a link to the run in which it did."""
    alone = '<span class="badge badge-idle" title="{}">{}</span>'
    linked = '<a class="badge badge-idle" href="{}" title="{name}" aria-label="{name}">{}</a>'
    drawn = []
    for one in rejects:
        short = short_names[one.server_name]
        if one.run_id is None:
            drawn.append(format_html(alone, one.server_name, short))
        else:
            run = _("run %(number)s") % {"number": one.run_id}
            url, name = address("run", one.run_id), f"{one.server_name}, {run}"
            drawn.append(format_html(linked, url, short, name=name))
    return row(*drawn)


def reject_state(one: RejectedRow, is_of_one_state: bool) -> Html:
    """The state with who closed it, or why. In a list of one state that note is enough."""
    note = one.closed_by or one.close_reason
    badge = state_badge("reject", one.state)
    words = '<div class="row">{}<span class="muted small">{}</span></div>'
    return format_html(words, "" if is_of_one_state else badge, note) if note else badge


def upload_name(upload: Upload) -> Html:
    """The load as a link, and below it its kind, who loaded it, and whether it was taken back.

    One by the API has the program in its name, and below it the Idempotency-Key of its call.
    """
    by = upload.name if upload.is_by_api else upload.created_by
    facts = [KindChoices(upload.kind).label, by]
    if upload.is_undone:
        facts.append(_("taken back"))
    return format_html(
        '<div><a href="{}">{}</a><div class="note">{}</div></div>',
        upload.get_absolute_url(),
        upload,
        " · ".join(map(str, facts)),
    )


def load_reached(reached: Reached) -> Html:
    """How many servers a load has reached, as a badge."""
    is_complete = reached.is_complete
    numbers = {"n": formats.number(reached.servers), "all": formats.number(reached.of)}
    words = badge(
        "ok" if is_complete else "warn",
        _("Arrived: %(n)s of %(all)s") % numbers,
        "check" if is_complete else "clock",
    )
    return titled(words, _("Bonus servers that have received all of its rows"))


def bad_line(explained: Explanation) -> Html:
    """What is wrong with a line, and below it what to do."""
    drawn = '<div>{}<div class="note">{}</div></div>'
    return format_html(drawn, explained.sentence, explained.hint)
