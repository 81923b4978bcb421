"""Fields and widgets that several forms have."""

from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models.settings import known_zones
from transfer.pages.components.forms import select, text_input
from transfer.pages.html import Html
from transfer.text.zones import named, others, russian


class LongSelect(forms.Select):
    """A select of a thousand options; Django's own draws each of them by a template."""

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> Html:
        given = self.build_attrs(self.attrs, {"name": name, **(attrs or {})})
        return select(given, self.choices, self.format_value(value))


class _Drawn:
    """An input of a page that has hundreds; Django draws each of its own by a template."""

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> Html:
        given = self.get_context(name, value, attrs)["widget"]  # type: ignore[attr-defined]
        head = {one: given[one] for one in ("type", "name", "value")}
        return text_input({**head, **given["attrs"]})


class DrawnText(_Drawn, forms.TextInput):
    pass


class DrawnPassword(_Drawn, forms.PasswordInput):
    pass


class DrawnHidden(_Drawn, forms.HiddenInput):
    pass


class LocalMoment(forms.DateTimeInput):
    """The browser's own field for a day and a time."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


def reason_field(shown: Any, *, required: bool = True) -> forms.CharField:
    """`shown` is text that says where the reason is shown."""
    return forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=500,
        required=required,
        help_text=shown,
        error_messages={"required": gettext_lazy("Enter a reason.")},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


def zone_choices() -> list[Any]:
    """Return choices of a time zone: the installation's, Russia's from west to east, all others."""
    known = {name for name in known_zones() if "/" in name}
    russia = russian(known)
    return [
        ("", _("As on this installation: %(zone)s") % {"zone": named(settings.TIME_ZONE)}),
        (_("Russia"), russia),
        (_("Other"), others(known - {name for name, _words in russia})),
    ]
