"""Forms of one button. A page of the scheduler has hundreds.

Measured: by a cached template each takes as long (0.1 ms), but is a fifth larger: a page of thirty
servers grew by 10 kB of white space, beyond what `test_many.py` allows.
"""

from typing import Any

from django.forms.utils import flatatt
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _

from transfer.pages.components.basic import icon
from transfer.pages.html import Html, unseen


def hidden(**values: Any) -> Html:
    """`{% hidden seen=version next=here %}`: values that a form sends unseen."""
    return format_html_join("", '<input type="hidden" name="{}" value="{}">', values.items())


def _form(context: Any, action: str, sent: dict[str, Any], button: Html) -> Html:
    fields = hidden(csrfmiddlewaretoken=context.get("csrf_token", ""), **sent)
    return format_html('<form method="post" action="{}">{}{}</form>', action, fields, button)


def post(
    context: Any, url: str, words: str, *, icon_name: str = "", id: str = "", style: str = "",
    bare: Any = False, about: Any = "", name: str = "", value: Any = "", **sent: Any,
) -> Html:  # fmt: skip
    """A button that posts its `name` and `value`, and the options `sent`, to `url`.

    `bare`: the icon alone, with the words as a tooltip and for screen readers. `about`: what the
    button acts on, for screen readers.
    """
    attributes = {"id": id, "name": name, "value": value, "title": words if bare else ""}
    button = format_html(
        '<button type="submit" class="button {}"{}>{}<span{}>{}</span>{}</button>',
        style,
        flatatt({key: text for key, text in attributes.items() if text != ""}),
        icon(icon_name) if icon_name else "",
        flatatt({"class": "visually-hidden"} if bare else {}),
        words,
        unseen(f": {about}") if about else "",
    )
    return _form(context, url, sent, button)


def switch(
    context: Any, action: str, label: str, on: bool, *, id: str = "", means: str = "",
    bare: bool = False, **sent: Any,
) -> Html:  # fmt: skip
    """The switch named `label`. It posts `enabled`, 1 or 0, and the options `sent` to `action`.

    Options: `seen`, the version that the page shows, where two people may switch at once; `next`,
    where the page leads afterwards. `means`: the id of the text that explains the switch. `bare`:
    its word is visible on paper only. A screen reader says the label, "switch", and "on" or "off".
    """
    attributes = {"id": id, "aria-describedby": means}
    button = format_html(
        '<button type="submit" role="switch" aria-checked="{}" aria-label="{}" '
        'class="switch {} {}"{} name="enabled" value="{}" title="{}">'
        '<span class="switch-track" aria-hidden="true"></span>'
        '<span aria-hidden="true"{}>{}</span></button>',
        "true" if on else "false",
        label,
        "on" if on else "",
        "bare" if bare else "",
        flatatt({key: text for key, text in attributes.items() if text}),
        0 if on else 1,
        _("Switch off") if on else _("Switch on"),
        flatatt({"class": "visually-hidden"} if bare else {}),
        _("Enabled") if on else _("Disabled"),
    )
    return _form(context, action, sent, button)
