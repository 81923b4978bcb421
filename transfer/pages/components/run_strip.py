"""The last runs of a task as a strip of marks."""

from collections import Counter
from collections.abc import Mapping
from html import escape

from django.utils.html import format_html
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _

from transfer.models.run_base import OPEN_STATES, PastRun, State
from transfer.pages.html import Html, once_a_day
from transfer.pages.shown.looks import look
from transfer.text import formats

# The shape of a run in a cell of 7 by 16, by its state. One that moved nothing is a low bar, one
# that moved rows a high one.
LOW, HIGH = "M1 10h5v5h-5z", "M1 1h5v14h-5z"
OPEN, CROSS, DOT = "M1.5 1.5h4v13h-4z", "M1 4.5l5 8M6 4.5l-5 8", "M2 11.5h3v3h-3z"
SHAPES = {
    State.QUEUED: OPEN,
    State.RUNNING: OPEN,
    State.REJECTS: "M1 7 3.5 1 6 7v8h-5z",
    State.FAILED: CROSS,
    State.SKIPPED: DOT,
    State.CANCELLED: DOT,
    State.INTERRUPTED: CROSS,
}


@once_a_day
def run_strip(*runs: PastRun) -> Html:
    """The last runs as marks, each a link, and in words for those who cannot see them.

    It is kept, since an open page asks for the same strips again and again.
    """
    counts = Counter(State(run.state) for run in runs)
    words = {state: str(state.label) for state in counts}
    label = _("Last runs, %(counts)s") % {
        "counts": "; ".join(f"{words[state]}: {count}" for state, count in counts.items())
    }
    marks = [_mark(7 * number, run, words) for number, run in enumerate(runs)]
    return format_html(
        '<svg class="strip" viewBox="0 0 {width} 16" width="{width}" height="16" role="group" '
        'aria-label="{label}">{marks}</svg>',
        width=7 * len(runs),
        label=label,
        marks=mark_safe("".join(marks)),  # noqa: S308 - of escaped parts
    )


def _mark(x: int, run: PastRun, states: Mapping[State, str]) -> str:
    """One of hundreds on a page: only its title needs to be escaped."""
    state = State(run.state)
    tone = "open" if state in OPEN_STATES else look(state, "run").tone
    shape = SHAPES.get(state) or (LOW if run.read == 0 else HIGH)
    read = formats.rows(run.read) if run.read else ""
    words = [formats.moment(run.queued_at), states[state], read]
    return (
        f'<a href="{run.url}" tabindex="-1">'
        f"<title>{escape(' · '.join(filter(None, words)))}</title>"
        f'<path class="hit" d="M{x} 0h7v16h-7z"/>'
        f'<path class="mark-{tone}" transform="translate({x})" d="{shape}"/></a>'
    )
