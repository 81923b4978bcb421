"""Safe pieces of HTML: every value is escaped, unless it is such a piece itself."""

from collections.abc import Callable, Iterable
from functools import lru_cache, wraps
from typing import Any

from django.utils import timezone
from django.utils.functional import lazy
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

Html = SafeString
EMPTY = Html()


def format_words(words: Any, **values: Any) -> Html:
    """A translated sentence whose `%(name)s` are values, or pieces of HTML."""
    escaped = {name: conditional_escape(value) for name, value in values.items()}
    return mark_safe(conditional_escape(words) % escaped)  # noqa: S308 - of escaped parts


def joined(pieces: Iterable[Any], between: str = "") -> Html:
    drawn = conditional_escape(between).join(map(conditional_escape, pieces))
    return mark_safe(drawn)  # noqa: S308 - of escaped parts


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


Draw = Callable[..., Html]


def once(draw: Draw, key: Callable[[], Any] = get_language) -> Draw:
    """Keeps a component's answers by its arguments and the language in use."""

    @lru_cache(maxsize=1000)
    def kept(_key: Any, *arguments: Any) -> Html:
        return draw(*arguments)

    return wraps(draw)(lambda *arguments: kept(key(), *arguments))


def once_a_day(draw: Draw) -> Draw:
    """Keeps them also by the day and the time zone, on which the words for a moment depend."""
    zone = timezone.get_current_timezone_name
    return once(draw, lambda: (get_language(), timezone.localdate(), zone()))
