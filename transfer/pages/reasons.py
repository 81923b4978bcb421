"""The field in which a user says why."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy


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
