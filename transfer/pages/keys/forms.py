"""The form of a new API key."""

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models import ApiKey
from transfer.models.api_keys import Scope
from transfer.pages.fields import LocalMoment

VALID_FOR = timedelta(days=365)


def next_year() -> Any:
    return timezone.now() + VALID_FOR


class KeyForm(forms.ModelForm[ApiKey]):
    """What a key allows. It is made once: to change it, make another and revoke this one."""

    pairs = {"expires_at": "limit"}

    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("The key may"),
        choices=Scope,
        widget=forms.CheckboxSelectMultiple,
        initial=[Scope.READ],
        error_messages={"required": gettext_lazy("Choose what the key may do.")},
    )

    class Meta:
        model = ApiKey
        fields = ["name", "scopes", "expires_at", "limit", "row_limit", "load_limit", "day_limit"]
        widgets = {"expires_at": LocalMoment(), "name": forms.TextInput({"autocomplete": "off"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["expires_at"].initial = next_year

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= timezone.now():
            raise forms.ValidationError(_("This time is in the past. Enter a later one."))
        return expires_at
