"""Pausing a task, and switching it with a reason."""

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from transfer.pages.fields import LocalMoment, reason_field
from transfer.text import formats

MORNING = time(8)


class ReasonForm(forms.Form):
    reason = reason_field(gettext_lazy("Shown beside the switch and in the audit."), required=False)


def next_morning(now: datetime) -> datetime:
    """The next eight o'clock in the user's zone: at night that of the same day."""
    local = timezone.localtime(now)
    days = timedelta(local.time() >= MORNING)
    return datetime.combine(local.date() + days, MORNING, local.tzinfo)


class PauseForm(ReasonForm):
    HOUR, NEXT_MORNING, OTHER = "hour", "morning", "other"
    IN_THE_PAST = gettext_lazy("The pause has to end in the future.")

    until = forms.ChoiceField(
        label=gettext_lazy("Pause"), widget=forms.RadioSelect, initial=HOUR, choices=()
    )
    moment = forms.DateTimeField(
        label=gettext_lazy("Until when"), required=False, widget=LocalMoment()
    )
    field_order = ("until", "moment", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = timezone.now()
        hour = formats.bound(now + timedelta(hours=1), zone=True)
        morning = formats.bound(next_morning(now), zone=True)
        self.fields["until"].choices = [  # type: ignore[attr-defined]
            (self.HOUR, _("for 1 hour, until %(at)s") % {"at": hour}),
            (self.NEXT_MORNING, _("until %(at)s") % {"at": morning}),
            (self.OTHER, _("until another time")),
        ]
        self.fields["moment"].help_text = _("In your time zone, %(zone)s.") % {
            "zone": formats.zone_name()
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        now = timezone.now()
        match cleaned.get("until"):
            case self.HOUR:
                cleaned["moment"] = now + timedelta(hours=1)
            case self.NEXT_MORNING:
                cleaned["moment"] = next_morning(now)
            case self.OTHER if "moment" not in self.errors:
                moment = cleaned.get("moment")
                if moment is None:
                    self.add_error("moment", _("Enter an end time."))
                elif moment <= now:
                    self.add_error("moment", self.IN_THE_PAST)
        return cleaned
