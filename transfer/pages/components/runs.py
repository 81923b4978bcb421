"""Runs: the cells of the history's tables."""

from html import escape
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import mark_safe

from transfer.models.run_base import GOOD_STATES, State, Trigger
from transfer.pages.components.basic import progress
from transfer.pages.components.states import state_badge, state_icon
from transfer.pages.components.times import moment
from transfer.pages.html import Html, with_note
from transfer.pages.shown.looks import look
from transfer.text import formats
from transfer.text.explain import started_by

NO_ROWS = mark_safe('<span class="none muted">0</span>')


def run_state(run: Any) -> Html:
    """The badge, without its word where all went well; while the run goes on, how far it is."""
    if run.state in GOOD_STATES:
        return state_icon("run", run.state)
    badge = state_badge("run", run.state)
    if run.state != State.RUNNING or not getattr(run, "expected", 0):
        return badge
    bar = progress(run.read, run.expected)
    return format_html('<div class="cell-progress">{}{}</div>', badge, bar)


def queued_at(run: Any) -> Html:
    """When the run was queued, and by whom, unless the schedule did; the heading names the zone."""
    at = moment(run.queued_at, "seconds")
    if run.trigger == Trigger.SCHEDULE:
        return mark_safe(f"<span>{at}</span>")  # noqa: S308 - safe
    note = '<span>{} <span class="muted small">{}</span></span>'
    return format_html(note, at, started_by(run))


def whole_row_link(run: Any) -> Html:
    """What ran, with the link that covers the whole row, and below it why the run did not succeed.

    The link has an id, so that it keeps the focus when its row refreshes.
    """
    kind, arrow, server = escape(run.title).partition("→")
    link = mark_safe(  # noqa: S308 - escaped
        f'<a class="whole-row" id="to-run-{run.pk}" href="{run.get_absolute_url()}">'
        f'<span class="kind">{kind}</span>{arrow and f"<span>{arrow}{server}</span>"}</a>'
    )
    if not (cause := run.explained):
        return link
    tone = "bad" if look(run.state, "run").tone == "bad" else "warn"
    return with_note(link, cause.sentence, f"clamped {tone}")


def rows(value: int) -> Html | str:
    """A number of rows. Zero is drawn paler."""
    return formats.number(value) if value else NO_ROWS
