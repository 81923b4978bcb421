"""Keeps what components return: a list shows the same badges and times many times."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

from django.utils import timezone
from django.utils.translation import get_language

from transfer.pages.html import Html

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
