"""Form fields that Django draws too slowly."""

from typing import Any

from django import forms

from transfer.pages.components.html import Html
from transfer.pages.components.select import select


class LongSelect(forms.Select):
    """A select of a thousand options; Django's own draws each of them by a template."""

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> Html:
        given = self.build_attrs(self.attrs, {"name": name, **(attrs or {})})
        return select(given, self.choices, self.format_value(value))
