"""Safe pieces of HTML: every value is escaped, unless it is such a piece itself."""

from collections.abc import Iterable
from typing import Any

from django.utils.functional import lazy
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

Html = SafeString
EMPTY = Html()


def format_words(words: Any, **values: Any) -> Html:
    """A translated sentence whose `%(name)s` are values, or pieces of HTML."""
    escaped = {name: conditional_escape(value) for name, value in values.items()}
    return mark_safe(conditional_escape(words) % escaped)  # noqa: S308 - of escaped parts


def joined(pieces: Iterable[Any], between: str = "") -> Html:
    return format_html_join(between, "{}", ((piece,) for piece in pieces))


def link(url: str, words: Any) -> Html:
    return format_html('<a href="{}">{}</a>', url, words)


def muted(words: Any) -> Html:
    return format_html('<span class="muted">{}</span>', words)


def titled(words: Any, title: Any) -> Html:
    """Words with a tooltip."""
    return format_html('<span title="{}">{}</span>', title, words)


def unseen(words: Any) -> Html:
    """Words for screen readers only."""
    return format_html('<span class="visually-hidden">{}</span>', words)


unseen_lazy = lazy(unseen, str)


def row(*pieces: Any) -> Html:
    """Pieces side by side, which wrap where the room ends."""
    return format_html('<div class="row">{}</div>', joined(pieces))


def with_note(main: Any, note: Any, tone: str = "muted") -> Any:
    """A cell of two lines, the second one small."""
    if not note:
        return main
    return format_html('<div>{}<div class="cell-note {}">{}</div></div>', main, tone, note)
