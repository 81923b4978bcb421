"""The squares of the grid of time: a line of them for a task or a server. A page has thousands."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _

from transfer.pages.html import Html
from transfer.pages.shown.time_grid import WORDS, Failing, Square

SIDE = 10  # of a square, in the units of the viewBox
# A square says by its shape what it is; colour never says it alone.
SHAPES = {
    "bad": "M{x} 0h10v10h-10zM{a} 2.5l5 5M{b} 2.5l-5 5",
    "open": "M{c} 1.5h7v7h-7z",
    "rejects": "M{d} 1l4.5 8h-9z",
    "moved": "M{e} 1h8v8h-8z",
    "nothing": "M{f} 4h2v2h-2z",
    "idle": "M{g} 5h6",
}


def time_line(squares: Sequence[Square], places: int, title: str) -> Html:
    """`{% time_line squares places title %}`: with a link for each square that leads somewhere."""
    still: dict[str, list[str]] = {}
    links = []
    for square in squares:
        if square.url:
            links.append(_link(square))
        else:
            still.setdefault(square.sign, []).append(_shape(square))
    drawn = [f'<path class="sq-{sign}" d="{"".join(d)}"/>' for sign, d in still.items()]
    return _svg(title, places, SIDE, [*drawn, *links])


def failing_line(failing: Iterable[Failing], places: int) -> Html:
    """`{% failing_line … %}`: for each place, a bar as high as the share of servers that fail."""
    height = 2 * SIDE
    bars = (
        f'<path class="sq-share" d="M{SIDE * one.place + 1} {height}v-{height * one.share:.3g}'
        f'h{SIDE - 2}v{height * one.share:.3g}z"><title>{escape(one.words)}</title></path>'
        for one in failing
    )
    return _svg(_("Servers with failures"), places, height, bars)


def _svg(title: str, places: int, height: int, parts: Iterable[str]) -> Html:
    return format_html(
        '<svg class="time-line" viewBox="0 0 {} {}" role="group" aria-label="{}">{}</svg>',
        SIDE * places,
        height,
        title,
        mark_safe("".join(parts)),  # noqa: S308 - of escaped parts
    )


def _shape(square: Square) -> str:
    x = SIDE * square.place
    return SHAPES[square.sign].format(
        x=x, a=x + 2.5, b=x + 7.5, c=x + 1.5, d=x + 5, e=x + 1, f=x + 4, g=x + 2
    )


def _link(square: Square) -> str:
    """One of thousands on a page: only its title needs to be escaped."""
    return (
        f'<a class="cell" href="{square.url}" tabindex="-1"><title>{escape(square.words)}</title>'
        f'<path class="hit" d="M{SIDE * square.place} 0h10v10h-10z"/>'
        f'<path class="sq-{square.sign}" d="{_shape(square)}"/></a>'
    )


def square_legend() -> dict[str, Any]:
    """`{% square_legend %}`: what each shape means."""
    return {
        "signs": [(sign, _shape(Square(0, sign, "", "")), words) for sign, words in WORDS.items()]
    }
