"""Credentials of a register, as people type them at a till."""

from django.utils.html import format_html
from django.utils.translation import gettext as _

from transfer.pages.components.basic import icon
from transfer.pages.html import Html, joined, unseen

GROUP = 4  # characters that people read, and type, at once


def typed(value: str) -> Html:
    """A value in groups, which a copy of the text does not contain, and a button that copies it."""
    groups = (value[at : at + GROUP] for at in range(0, len(value), GROUP))
    return format_html(
        '<span class="typed">{}</span> <button type="button" class="button plain small '
        'icon-only" data-copy="{}" title="{}" hidden>{}{}</button>',
        joined(format_html("<span>{}</span>", group) for group in groups),
        value,
        _("Copy"),
        icon("copy"),
        unseen(_("Copy")),
    )
