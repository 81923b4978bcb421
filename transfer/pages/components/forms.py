"""Choices and help texts of forms."""

from typing import Any

from django.utils.html import format_html

from transfer.pages.html import Html


def choice_with_note(label: Any, note: Any) -> Html:
    """The words for a choice, and below them what it means."""
    return format_html('<span>{}<span class="note">{}</span></span>', label, note)


def help_with_rules(words: Any, rules: Html) -> Html:
    """A help text: a sentence, and a list of rules below it."""
    return format_html("<p>{}</p>{}", words, rules)
