"""Choices, help texts and long selects of forms."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from django.forms.utils import flatatt
from django.utils.html import format_html
from django.utils.safestring import mark_safe

from transfer.pages.html import Html


def choice_with_note(label: Any, note: Any) -> Html:
    """The words for a choice, and below them what it means."""
    return format_html('<span>{}<span class="note">{}</span></span>', label, note)


def help_with_rules(words: Any, rules: Html) -> Html:
    """A help text: a sentence, and a list of rules below it."""
    return format_html("<p>{}</p>{}", words, rules)


def text_input(attributes: Mapping[str, Any]) -> Html:
    """An input, with these attributes in this order; one that is True has no value."""
    drawn = "".join(
        f" {name}" if value is True else f' {name}="{escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    return mark_safe(f"<input{drawn}>")  # noqa: S308 - escaped


def select(attributes: Mapping[str, Any], choices: Iterable[Any], chosen: list[str]) -> Html:
    """A select. `choices`: pairs of a value and its words, or of a heading and such pairs."""
    options = _options(choices, chosen)
    drawn = f"<select{flatatt(dict(attributes))}>{options}</select>"
    return mark_safe(drawn)  # noqa: S308 - escaped


def _options(choices: Iterable[Any], chosen: list[str]) -> str:
    return "".join(
        f'<optgroup label="{escape(str(key))}">{_options(label, chosen)}</optgroup>'
        if isinstance(label, list)
        else f'<option value="{escape(str(key))}"{" selected" * (str(key) in chosen)}>'
        f"{escape(str(label))}</option>"
        for key, label in choices
    )
