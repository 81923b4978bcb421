import zoneinfo
from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext as _, gettext_lazy

RUSSIA = [
    "Europe/Kaliningrad",
    "Europe/Moscow",
    "Europe/Samara",
    "Asia/Yekaterinburg",
    "Asia/Omsk",
    "Asia/Krasnoyarsk",
    "Asia/Irkutsk",
    "Asia/Yakutsk",
    "Asia/Vladivostok",
    "Asia/Magadan",
    "Asia/Kamchatka",
]


def zones() -> list[Any]:
    """The installation's zone, then Russia's from west to east, then all others."""
    others = sorted(name for name in zoneinfo.available_timezones() - set(RUSSIA) if "/" in name)
    return [
        ("", _("As on this installation: %(zone)s") % {"zone": settings.TIME_ZONE}),
        (_("Russia"), [(name, name) for name in RUSSIA]),
        (_("Other"), [(name, name) for name in others]),
    ]


class TimeZoneForm(forms.Form):
    """The zone in which a user reads times."""

    zone = forms.ChoiceField(
        label=gettext_lazy("Time zone"),
        choices=zones,
        help_text=gettext_lazy("Times on the pages are shown in it. Schedules keep to their own."),
    )
