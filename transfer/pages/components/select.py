"""A select of a thousand options, each of which Django draws by a template."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from django.forms.utils import flatatt
from django.utils.safestring import mark_safe

from transfer.pages.html import Html


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
