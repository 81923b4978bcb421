"""Forms of the page of notifications."""

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from transfer.alerts.outside import is_forbidden_host
from transfer.alerts.send import messenger_knows
from transfer.errors import NoApprise
from transfer.models.alerts import Recipient, Topic
from transfer.models.planned_work import PlannedWork
from transfer.pages.fields import LocalMoment
from transfer.text.explain import explain

Channel = Recipient.Channel


class RecipientForm(forms.ModelForm[Recipient]):
    """The address of a webhook or messenger holds keys: it is never shown again."""

    pairs = {"quiet_from": "quiet_until"}

    address = forms.CharField(
        label=gettext_lazy("Address"),
        max_length=500,
        help_text=gettext_lazy(
            "An e-mail address; an https:// address that accepts a POST request; or an address "
            "of Apprise, such as tgram://…"
        ),
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "spellcheck": "false", "data-secret": ""}
        ),
        error_messages={"required": gettext_lazy("Enter the address.")},
    )
    channel = forms.ChoiceField(
        label=gettext_lazy("How"), choices=Channel, widget=forms.RadioSelect, initial=Channel.MAIL
    )
    language = forms.ChoiceField(label=gettext_lazy("Language"), choices=settings.LANGUAGES)
    topics = forms.MultipleChoiceField(
        label=gettext_lazy("Notify of"),
        choices=Topic,
        widget=forms.CheckboxSelectMultiple,
        initial=Topic.values,
    )

    class Meta:
        model = Recipient
        fields = [
            *("name", "channel", "address", "language", "topics", "reminders"),
            *("quiet_from", "quiet_until", "enabled"),
        ]
        widgets = dict.fromkeys(("quiet_from", "quiet_until"), forms.TimeInput({"type": "time"}))
        help_texts = {
            "quiet_from": gettext_lazy(
                "Problems that start in quiet hours are reported when they end."
            ),
            "reminders": gettext_lazy(
                "While the problem lasts. For rejected rows: when there are new ones, at most "
                "once an hour."
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            is_mail = self.instance.channel == Channel.MAIL
            self.fields["address"].required = is_mail
            self.initial["address"] = self.instance.address if is_mail else ""
            if not is_mail:
                self.fields["address"].widget.attrs["placeholder"] = _("unchanged")

    def clean_address(self) -> str:
        """An empty address keeps the stored one if the channel is the same."""
        held, channel = self.instance, self.cleaned_data.get("channel")
        address: str = self.cleaned_data["address"]
        if not address and held.pk and channel == held.channel:
            address = held.address
        if channel:
            check_address(channel, address)
        return address

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if (cleaned.get("quiet_from") is None) != (cleaned.get("quiet_until") is None):
            self.add_error("quiet_until", _("Enter both times, or neither."))
        return cleaned


def check_address(channel: str, address: str) -> None:
    """Raises ValidationError, which does not quote the address."""
    if not address:
        raise ValidationError(_("Enter the address."))
    if channel == Channel.MAIL:
        validate_email(address)
    elif channel == Channel.WEBHOOK:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValidationError(_("Enter an address that begins with https:// or http://."))
        if is_forbidden_host(parts.hostname):
            raise ValidationError(
                _("Messages may not go to this address: clouds keep their secrets there.")
            )
    else:
        try:
            known = messenger_knows(address)
        except NoApprise as error:
            raise ValidationError(str(explain(error))) from None
        if not known:
            raise ValidationError(_("Apprise does not know such an address."))


class PlannedWorkForm(forms.ModelForm[PlannedWork]):
    pairs = {"begins_at": "ends_at"}

    class Meta:
        model = PlannedWork
        fields = ["server", "begins_at", "ends_at", "reason", "stops"]
        widgets = dict.fromkeys(("begins_at", "ends_at"), LocalMoment())

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["server"].empty_label = _("all bonus servers")  # type: ignore[attr-defined]

    def clean_ends_at(self) -> datetime:
        ends_at: datetime = self.cleaned_data["ends_at"]
        if ends_at <= timezone.now():
            raise ValidationError(_("This time is in the past. Enter a later one."))
        return ends_at
