"""Form fields that Django draws too slowly."""

from collections.abc import Iterable
from html import escape
from typing import Any

from django import forms
from django.forms.utils import flatatt
from django.utils.safestring import SafeString, mark_safe


class LongSelect(forms.Select):
    """A select of a thousand options; Django's own draws each of them by a template."""

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        given = flatatt(self.build_attrs(self.attrs, {"name": name, **(attrs or {})}))
        options = self._options(self.choices, self.format_value(value))
        return mark_safe(f"<select{given}>{options}</select>")  # noqa: S308 - escaped

    def _options(self, choices: Iterable[Any], chosen: list[str]) -> str:
        return "".join(
            f'<optgroup label="{escape(str(key))}">{self._options(label, chosen)}</optgroup>'
            if isinstance(label, list)
            else f'<option value="{escape(str(key))}"{" selected" * (str(key) in chosen)}>'
            f"{escape(str(label))}</option>"
            for key, label in choices
        )
