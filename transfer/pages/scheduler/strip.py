"""The last runs of a task as a strip of marks."""

from collections import Counter
from collections.abc import Mapping
from html import escape

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from transfer.models.run_base import PastRun
from transfer.models.runs import State
from transfer.pages.drawing import once_a_day
from transfer.text import formats

# Every state in a strip of runs: its tone, and its shape in a cell of 7 by 16. A run that moved
# nothing is a low bar, one that moved rows a high one.
LOW, HIGH = "M1 10h5v5h-5z", "M1 1h5v14h-5z"
MARKS = {
    State.QUEUED: ("open", "M1.5 1.5h4v13h-4z"),
    State.RUNNING: ("open", "M1.5 1.5h4v13h-4z"),
    State.REJECTS: ("warn", "M1 7 3.5 1 6 7v8h-5z"),
    State.FAILED: ("bad", "M1 4.5l5 8M6 4.5l-5 8"),
    State.SKIPPED: ("idle", "M2 11.5h3v3h-3z"),
    State.CANCELLED: ("idle", "M2 11.5h3v3h-3z"),
    State.INTERRUPTED: ("bad", "M1 4.5l5 8M6 4.5l-5 8"),
}


@once_a_day
def run_strip(*runs: PastRun) -> SafeString:
    """The last runs as marks, each a link, and in words for who can’t see it.

    An open page asks for the same strips again and again.
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
    tone, shape = MARKS.get(state) or ("ok", LOW if run.read == 0 else HIGH)
    read = formats.rows(run.read) if run.read else ""
    words = [formats.moment(run.queued_at), states[state], read]
    return (
        f'<a href="{run.url}" tabindex="-1">'
        f"<title>{escape(' · '.join(filter(None, words)))}</title>"
        f'<path class="hit" d="M{x} 0h7v16h-7z"/>'
        f'<path class="mark-{tone}" transform="translate({x})" d="{shape}"/></a>'
    )
