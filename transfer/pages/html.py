"""Sentences with HTML in them."""

from typing import Any

from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe


def format_words(words: Any, **values: Any) -> SafeString:
    """A translated sentence with each of its values escaped, or HTML."""
    escaped = {name: conditional_escape(value) for name, value in values.items()}
    return mark_safe(conditional_escape(words) % escaped)  # noqa: S308 - of escaped parts
